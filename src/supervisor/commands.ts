/** What the control socket understands. */
import { formatCount } from '../config/units.ts';
import { workersOf } from '../control/pool.ts';
import type { Recycled, Status } from '../control/status.ts';
import { CofferdamError } from '../errors.ts';
import { judge, PROBES, type ProbeFacts } from '../probes/probes.ts';
import type { ControlHandler, Reply } from './control-socket.ts';
import type { AppPool } from './app-pool.ts';
import type { Reloaded, Waiters } from './waiters.ts';

export interface CommandsOptions {
  readonly pools: readonly AppPool[];
  facts(): ProbeFacts;
  readonly waiters: Waiters;
  /** Rejects when the new configuration is invalid. */
  readonly reload: () => Promise<Reloading>;
  status(): Status;
}

/** A reload that has begun. */
export interface Reloading {
  /** The settings that only a restart applies. */
  readonly restart: readonly string[];
  /** Of each pool, when all of it serves the new configuration; rejects when that failed. */
  readonly through: Promise<readonly Reloaded[]>;
}

type Parameters = Readonly<Record<string, unknown>>;

const STATUS_SHOWS = { hint: '`cofferdam status` shows pools and slots.' } as const;

export function createCommands(options: CommandsOptions): ControlHandler {
  const commands: Readonly<Record<string, (parameters: Parameters) => Promise<Reply> | Reply>> = {
    status: () => ({ ok: true, status: options.status() }),
    events: () => ({ ok: true, follow: true }),
    recycle: (parameters) => recycle(parameters, options),
    probe: ({ probe }) => probeNow(probe, options),
    scale: (parameters) => scale(parameters, options),
    reload: ({ wait }) => reload(wait !== false, options),
  };
  return {
    async handle(name, parameters) {
      const command = Object.hasOwn(commands, name) ? commands[name] : undefined;
      if (command === undefined) {
        const known = Object.keys(commands).join(', ');
        throw new CofferdamError('COF_USAGE', `unknown command "${name}"; there are ${known}`);
      }
      return command(parameters);
    },
  };
}

// --- internal ---

function probeNow(asked: unknown, options: CommandsOptions): Reply {
  const probe = PROBES.find((probe) => probe === asked);
  if (probe === undefined) {
    const message = `there is no probe ${JSON.stringify(asked)}; there are ${PROBES.join(', ')}`;
    throw new CofferdamError('COF_USAGE', message);
  }
  const reasons = judge(probe, options.facts());
  return { ok: true, green: reasons.length === 0, reasons };
}

/** The pools that a command is for: the one it names, or all. */
function poolsFor({ pool }: Parameters, { pools }: CommandsOptions): readonly AppPool[] {
  if (pool === undefined || pool === null) return pools;
  const named = pools.filter(({ name }) => name === pool);
  if (named.length > 0) return named;
  const names = pools.map(({ name }) => name).join(', ');
  throw new CofferdamError(
    'COF_USAGE',
    pools.length === 1
      ? `there is no pool ${JSON.stringify(pool)}; the only one is ${names}`
      : `there is no pool ${JSON.stringify(pool)}; there are ${names}`,
    STATUS_SHOWS,
  );
}

/** Answers at once; the workers come and go when they may. */
function scale(parameters: Parameters, options: CommandsOptions): Reply {
  const [pool, ...others] = poolsFor(parameters, options);
  if (pool === undefined || others.length > 0) {
    const names = options.pools.map(({ name }) => name).join(', ');
    throw new CofferdamError('COF_USAGE', `which pool? There are ${names}`, {
      hint: `\`cofferdam scale ${options.pools[0]?.name} 4\``,
    });
  }
  const { slots } = parameters;
  const { loop } = pool.workers;
  const { workersMin, workersMax } = loop.state().policy;
  const isAllowed = Number.isInteger(slots) && Number(slots) >= workersMin;
  if (!isAllowed || Number(slots) > workersMax) {
    const fixed = workersMin === workersMax;
    throw new CofferdamError(
      'COF_CONTROL_REFUSED',
      fixed
        ? `this pool has ${formatCount(workersMin, 'worker')}, no more and no less`
        : `this pool has ${workersMin} to ${workersMax} workers, not ${JSON.stringify(slots)}`,
      { hint: 'Give it room with --workers MIN..MAX, or `workers` in the file and a reload.' },
    );
  }
  const from = loop.state().size;
  loop.enqueue({ type: 'scale', slots: Number(slots) });
  return { ok: true, from, to: Number(slots) };
}

async function reload(wait: boolean, { pools, reload }: CommandsOptions): Promise<Reply> {
  const stops = pools.some(({ front }) => STOPPING.has(front.loop.state().phase.type));
  if (stops) throw new CofferdamError('COF_CONTROL_REFUSED', 'Cofferdam stops');
  const { restart, through } = await reload();
  if (!wait) return { ok: true, restart, reloaded: null };
  const all = await through;
  const workers = all.reduce((sum, each) => sum + each.workers, 0);
  const tookMs = Math.max(...all.map((each) => each.tookMs));
  return { ok: true, restart, reloaded: { workers, tookMs } };
}

const STOPPING: ReadonlySet<string> = new Set(['leaving', 'stopping', 'finished']);

async function recycle(parameters: Parameters, options: CommandsOptions): Promise<Reply> {
  const pools = poolsFor(parameters, options);
  const asked = parameters['slot'] ?? null;
  const recycled = pools.map((pool) => recycleIn(pool, asked, pools.length > 1, options));
  if (parameters['wait'] === false) {
    // Nobody waits; what becomes of it is in the log.
    for (const each of recycled) each.catch(() => {});
    return { ok: true, recycled: [] };
  }
  return { ok: true, recycled: (await Promise.all(recycled)).flat() };
}

function recycleIn(
  { name, workers }: AppPool,
  asked: unknown,
  isOneOfMany: boolean,
  options: CommandsOptions,
): Promise<readonly Recycled[]> {
  const state = workers.loop.state();
  const generations = new Map<number, number>();
  for (const { slot, generation } of workersOf(state)) {
    // Higher slots only finish what they have; of the workers of one slot the oldest comes first.
    if (slot <= state.size && !generations.has(slot)) generations.set(slot, generation);
  }
  const slots = [...generations.keys()];
  if (asked !== null && (typeof asked !== 'number' || !slots.includes(asked) || isOneOfMany)) {
    throw new CofferdamError(
      'COF_USAGE',
      isOneOfMany
        ? `slot ${JSON.stringify(asked)} of which pool? Name it: ${name}/${JSON.stringify(asked)}`
        : `there is no slot ${JSON.stringify(asked)}; the slots are ${slots.join(', ')}`,
      STATUS_SHOWS,
    );
  }
  const wanted = [...generations].filter(([slot]) => asked === null || slot === asked);
  const recycled = options.waiters.wait(name, new Map(wanted));
  workers.loop.enqueue({ type: 'recycle', slot: asked, reason: 'manual' });
  return recycled;
}
