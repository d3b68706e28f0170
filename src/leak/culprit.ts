/** After a verdict: who holds it, who allocated it, who opened it. */
import { mkdtemp, rm } from 'node:fs/promises';
import { freemem, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { findMemoryCgroup, readCgroupLimit, readCgroupUsage } from '../metrics/cgroup.ts';
import { toldLine } from './finding.ts';
import { compareProfiles } from './allocation-sites.ts';
import type { AllocationSite } from './allocation-sites.ts';
import { readSnapshots } from './heap-compare.ts';
import type { Suspect } from './heap-compare.ts';
import { MADE_SHAPES } from './heap-explain.ts';
import type { Lane } from './lane.ts';
import { recordSites } from './made-sites.ts';
import type { MadeThings } from './made-sites.ts';
import type { Mark } from './phases.ts';
import type { ProfileNode } from './probe-messages.ts';
import { unitOf } from './series.ts';
import type { Signal } from './series.ts';
import type { Verdict } from './verdict.ts';
import { formatAmount } from './words.ts';

export interface Culprit {
  /** Who holds what is new, best first; empty when no snapshot was possible. */
  readonly suspects: readonly Suspect[];
  readonly allocations: readonly AllocationSite[];
  /** Where descriptors, handles, timers and listeners were made that nobody ended. */
  readonly sites: MadeThings['sites'];
  readonly descriptors: MadeThings['descriptors'];
  /** Why some of the above is missing. */
  readonly notes: readonly string[];
  /** The last sampling profile, for a pprof file. */
  readonly profile: ProfileNode | null;
}

export interface CulpritOptions {
  readonly snapshotFolder: string | null;
  /** Bytes that snapshots may take; what the machine and the control group have left. */
  readonly freeBytes?: number;
  /** Time for the whole search; what is not found by then is missing, with a note. */
  readonly limitMs?: number;
}

export async function findCulprit(
  lane: Lane,
  verdict: Verdict,
  mark: Mark,
  options: CulpritOptions,
): Promise<Culprit> {
  const notes: string[] = [];
  const end = performance.now() + (options.limitMs ?? SEARCH_LIMIT_MS);
  const left = (): number => Math.max(1, end - performance.now());
  const profile = await askProfile(lane, notes, left());
  const requests = Math.max(1, lane.answered() - mark.requests);
  const before = mark.profile;
  const allocations =
    before === null || profile === null ? [] : await compareProfiles(before, profile, requests);
  const leaks = (signals: readonly Signal[]): boolean =>
    verdict.signal !== null &&
    (signals.includes(verdict.signal) ||
      verdict.findings.some(({ signal, state }) => state === 'leaks' && signals.includes(signal)));
  const found = leaks(SEEN_IN_HEAP) ? await takeSnapshots(lane, options, notes, left) : [];
  const suspects = tooLargeLast(found, verdict);
  const isMade = suspects.some(({ shape }) => shape !== null && MADE_SHAPES.has(shape));
  const made = leaks(MADE_SOMEWHERE) || isMade ? await askSites(lane, notes, left) : NOTHING_MADE;
  return { suspects, allocations, ...made, notes, profile };
}

/** What grows faster than the verdict says was caught in the air: a queue, a batch to be sent. */
export function tooLargeLast(suspects: readonly Suspect[], verdict: Verdict): readonly Suspect[] {
  const bound = boundOf(verdict);
  const isTooLarge = ({ bytesPerRequest }: Suspect): boolean => (bytesPerRequest ?? 0) > bound;
  const fits = suspects.filter((suspect) => !isTooLarge(suspect));
  return [...fits, ...suspects.filter(isTooLarge)];
}

// --- internal ---

/** What has JavaScript objects to show for it. */
const SEEN_IN_HEAP: readonly Signal[] = ['heap', 'external', 'handles', 'contexts', 'listeners'];

/** What is made by a call that can be caught in the act. */
const MADE_SOMEWHERE: readonly Signal[] = ['descriptors', 'handles', 'contexts', 'listeners'];

const NOTHING_MADE: MadeThings = { sites: [], descriptors: [] };

/** Prime, so that a count per request of 1.000 or 0.100 is no accident of a round number. */
const REQUESTS_BETWEEN = 199;

/** A slow app gets fewer, or the search would take longer than the experiment. */
const REQUESTS_BETWEEN_SLOW = 47;
const SLOW_RATE = 40;

/** Two intervals: what grew in one of them only is warm-up, or was in flight. */
const SNAPSHOTS = 3;

/** Measured: 370..450 bytes of RSS per heap node; up to 28 times the heap with maps of strings. */
const SNAPSHOT_FACTOR = 14;
const SNAPSHOT_BASE_BYTES = 200 * 2 ** 20;

/**
 * A snapshot is written at some 10 MB a second on a loaded machine, and a swollen heap is searched
 * anew: three of 64 MB take 20 s. What needs four times as long will need longer still.
 */
const SEARCH_LIMIT_MS = 90_000;

/** The most bytes that a request, as the search sends it, keeps by the verdict. */
function boundOf({ signal, rate, findings }: Verdict): number {
  if (signal === null || rate === null || rate.per === 'second') return Infinity;
  if (unitOf(signal) === 'count') return Infinity;
  // An object may hold buffers as well.
  const others = findings.filter(
    (each) => each.signal !== signal && each.state === 'leaks' && unitOf(each.signal) === 'bytes',
  );
  return others.reduce((sum, each) => sum + (toldLine(each)?.high ?? 0), rate.high);
}

function stepOf(lane: Lane): number {
  return lane.ratePerSecond() < SLOW_RATE ? REQUESTS_BETWEEN_SLOW : REQUESTS_BETWEEN;
}

async function askProfile(
  lane: Lane,
  notes: string[],
  limitMs: number,
): Promise<ProfileNode | null> {
  try {
    const reply = await lane.target.ask({ type: 'profile' }, limitMs);
    return reply.type === 'profile' ? reply.head : null;
  } catch (error) {
    notes.push(`no allocation profile: ${String(error)}`);
    return null;
  }
}

async function askSites(lane: Lane, notes: string[], left: () => number): Promise<MadeThings> {
  try {
    return await recordSites(lane, stepOf(lane), left);
  } catch (error) {
    notes.push(`no creating sites: ${String(error)}`);
    return NOTHING_MADE;
  }
}

async function takeSnapshots(
  lane: Lane,
  options: CulpritOptions,
  notes: string[],
  left: () => number,
): Promise<readonly Suspect[]> {
  const heapBytes = lane.samples.at(-1)?.heapUsedBytes ?? 0;
  const needBytes = SNAPSHOT_FACTOR * heapBytes + SNAPSHOT_BASE_BYTES;
  const freeBytes = options.freeBytes ?? Math.min(freemem(), constrainedBytes());
  if (needBytes > freeBytes) {
    notes.push(
      `no heap snapshots: they may need ${formatAmount(needBytes, 'bytes')}, and ` +
        `${formatAmount(freeBytes, 'bytes')} are free; the allocation profile must do`,
    );
    return [];
  }
  const kept = options.snapshotFolder;
  const folder = kept ?? (await mkdtemp(join(tmpdir(), 'cofferdam-leak-')));
  const step = stepOf(lane);
  const taken: string[] = [];
  try {
    try {
      while (taken.length < SNAPSHOTS) {
        // Also before the first: what one batch of requests warms up is no suspect.
        await lane.drive(step);
        const path = join(folder, `${taken.length + 1}.heapsnapshot`);
        await lane.target.ask({ type: 'snapshot', path }, left());
        taken.push(path);
      }
    } catch (error) {
      if (taken.length < 2) throw error;
      notes.push(`two heap snapshots, not three: warm-up is among the suspects (${wordOf(error)})`);
    }
    return await readSnapshots(taken, { requests: [step, step] });
  } catch (error) {
    notes.push(`no heap snapshots: ${wordOf(error)}`);
    return [];
  } finally {
    if (kept === null) await rm(folder, { recursive: true, force: true });
  }
}

const wordOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** What the control group leaves, all its processes counted: the app under test is one of them. */
function constrainedBytes(): number {
  const cgroup = findMemoryCgroup();
  const limit = cgroup === null ? null : readCgroupLimit(cgroup, totalmem());
  if (cgroup === null || limit === null) return Infinity;
  return limit.limitBytes - (readCgroupUsage(cgroup, limit.directory) ?? 0);
}
