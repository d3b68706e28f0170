/**
 * Heap limits for each worker, from its share of the budget. By itself V8 gives every worker the
 * whole container: four in 512 MiB may use 256 MiB each.
 */

export interface HeapRequest {
  /** What one worker may use of the budget. */
  readonly shareBytes: number;
  /** The hard limit of a worker; 0 = none. V8 must not give up before it is reached. */
  readonly maxMemoryBytes: number;
  /** `heap_size_limit` of a Node that was given no flags: more than it would take is never set. */
  readonly ownLimitBytes: number;
  readonly nodeMajor: number;
  /** `--node-args` and `NODE_OPTIONS` of the user, who knows better. */
  readonly userArgs: readonly string[];
}

/** `--max-old-space-size` and `--max-semi-space-size`, those that the user has not set. */
export function v8FlagsFor(request: HeapRequest): readonly string[] {
  const { shareBytes, maxMemoryBytes, ownLimitBytes, userArgs } = request;
  const semi = semiSpaceMib(Math.max(shareBytes, maxMemoryBytes) / MIB, request.nodeMajor);
  const room = Math.max(SHARES * shareBytes, maxMemoryBytes / HEAP_FULL_SHARE) / MIB;
  const old = Math.max(OLD_LEAST_MIB, room - 2 * semi);
  const flags = [
    ['max-semi-space-size', semi],
    ['max-old-space-size', Math.floor(Math.min(old, ownLimitBytes / MIB))],
  ] as const;
  const given = new Set(userArgs.map((arg) => arg.split('=', 1)[0]!.replaceAll('_', '-')));
  if (SIZES.some((flag) => given.has(flag))) return [];
  return flags
    .filter(([name]) => !given.has(`--${name}`))
    .map(([name, value]) => `--${name}=${value}`);
}

/** From here on Node spends its time on collecting garbage: measured collapse at 77..79 %. */
export const HEAP_FULL_SHARE = 0.7;

/** Memory at which a worker with these flags has to go, bytes; 0 = the flags do not say. */
export function heapRoomBytes(flags: readonly string[]): number {
  const old = flags.map((flag) => /^--max-old-space-size=(\d+)$/.exec(flag)?.[1]).find(Boolean);
  return old === undefined ? 0 : Math.floor(Number(old) * MIB * HEAP_FULL_SHARE);
}

// --- internal ---

const MIB = 2 ** 20;

/**
 * The heap limit is the last resort behind the budget, which lets one worker use what others leave.
 * With one share alone the leaky example died of its heap before the budget was used up.
 */
const SHARES = 2;

/** With less, Node collects garbage most of the time; then the pool is too large for its budget. */
const OLD_LEAST_MIB = 48;

/** Other ways to say how large the heap may be. */
const SIZES = ['--max-heap-size', '--max-old-space-size-percentage'];

/** Below this share a worker has to be frugal. */
const SMALL_SHARE_MIB = 128;

/**
 * Measured on 20, 22, 24: it makes the staircase of young generations that looks like a leak. On 24
 * small ones cost nothing; 20 and 22 pay 10..25 % of CPU, so they get theirs only where it matters.
 */
function semiSpaceMib(shareMib: number, nodeMajor: number): number {
  if (nodeMajor >= 24) return shareMib < SMALL_SHARE_MIB ? 2 : 8;
  return shareMib < SMALL_SHARE_MIB ? 4 : 16;
}
