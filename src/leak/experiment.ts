/** The experiment on one app: its phases, the verdict, and the search for the culprit. */
import { whyBrake } from './brake.ts';
import { explainEnd, explainLosses, judgeEarly } from './early-end.ts';
import type { EarlyEnd } from './early-end.ts';
import { findCulprit } from './culprit.ts';
import type { Culprit } from './culprit.ts';
import { openLane } from './lane.ts';
import type { Lane } from './lane.ts';
import { playPhases, progressOf, startProfile } from './phases.ts';
import type { Marks, PhaseOptions } from './phases.ts';
import type { Sample } from './series.ts';
import { phaseOf } from './slow.ts';
import { startTarget } from './target.ts';
import type { Death, TargetOptions } from './target.ts';
import { judge } from './verdict.ts';
import type { Verdict } from './verdict.ts';

export interface ExperimentOptions extends PhaseOptions {
  readonly target: TargetOptions;
  /** Whether to search for the code that leaks. */
  readonly name: boolean;
  /** Folder that keeps the snapshots; null = they are deleted. */
  readonly snapshotFolder: string | null;
}

export interface Outcome {
  readonly verdict: Verdict;
  readonly samples: readonly Sample[];
  readonly culprit: Culprit | null;
  readonly death: Death | null;
  /** Why the load was stopped before its time; null = it was not. */
  readonly stopped: string | null;
  readonly node: string;
  /** Where it was asked: origin, and the kinds of requests, `GET /search`. */
  readonly url: string;
  readonly asked: readonly string[];
  readonly unique: boolean;
  readonly ratePerSecond: number;
  readonly connections: number;
  readonly requests: number;
  readonly failures: ReturnType<Lane['failures']>;
  readonly latency: { readonly p50Ms: number; readonly p99Ms: number };
  readonly elapsedMs: number;
}

export async function runExperiment(options: ExperimentOptions): Promise<Outcome> {
  const startedAt = performance.now();
  const target = await startTarget(options.target);
  try {
    const lane = await openLane(target, options);
    const marks: Marks = {};
    const { end, stopped } = await play(lane, options, marks);
    const died = stopped !== null || target.death() !== null;
    const seen = judge(lane.samples, { thorough: options.thorough, final: true, died });
    const losses = explainLosses(lane.failures(), lane.answered());
    const verdict = judgeEarly(seen, end ?? losses);
    const outcome = { ...describe(lane, options, startedAt), verdict, stopped };
    const isWanted = options.name && verdict.kind === 'leak' && !options.signal.aborted;
    if (!isWanted) return { ...outcome, culprit: null };
    options.onProgress(progressOf(lane, 'search for the code'));
    const culprit =
      died || isSwollen(lane.samples.at(-1))
        ? await searchAnew(verdict, options)
        : await search(lane, verdict, marks, options);
    return { ...outcome, culprit, elapsedMs: performance.now() - startedAt };
  } finally {
    await target.stop();
  }
}

// --- internal ---

function describe(
  lane: Lane,
  { connections, templates }: ExperimentOptions,
  startedAt: number,
): Omit<Outcome, 'verdict' | 'culprit' | 'stopped'> {
  return {
    samples: lane.samples,
    death: lane.target.death(),
    node: lane.target.node,
    url: lane.target.url,
    asked: templates.map(({ method, path }) => `${method ?? 'GET'} ${path}`),
    unique: lane.unique,
    ratePerSecond: lane.ratePerSecond(),
    connections,
    requests: lane.answered(),
    failures: lane.failures(),
    latency: lane.latency(),
    elapsedMs: performance.now() - startedAt,
  };
}

interface Played {
  readonly end: EarlyEnd;
  readonly stopped: string | null;
}

/** What was seen is judged in any case. */
async function play(lane: Lane, options: ExperimentOptions, marks: Marks): Promise<Played> {
  try {
    const stopped = await playPhases(lane, options, marks);
    const isDead = lane.target.death() !== null;
    return { stopped, end: isDead ? await explainEnd(lane.target, null) : null };
  } catch (error) {
    return { stopped: whyBrake(lane.samples), end: await explainEnd(lane.target, error) };
  }
}

function isSwollen(last: Sample | undefined): boolean {
  if (last === undefined) return false;
  return last.heapUsedBytes > SWOLLEN_BYTES || last.externalBytes > SWOLLEN_EXTERNAL_BYTES;
}

/** With the kind of requests that it takes. */
async function search(
  lane: Lane,
  verdict: Verdict,
  marks: Marks,
  options: ExperimentOptions,
): Promise<Culprit> {
  const phase = phaseOf(verdict);
  await lane.setSlow(phase);
  const mark = marks[phase ?? 'load'] ?? { profile: null, requests: 0 };
  return findCulprit(lane, verdict, mark, options);
}

/**
 * The app that was measured is dead, or dying: a fresh one shows who, before it goes the same way.
 */
async function searchAnew(verdict: Verdict, options: ExperimentOptions): Promise<Culprit | null> {
  const target = await startTarget(options.target);
  try {
    const lane = await openLane(target, options);
    lane.setRate(SEARCH_RATE);
    const mark = { profile: await startProfile(target), requests: lane.answered() };
    return await search(lane, verdict, { [phaseOf(verdict) ?? 'load']: mark }, options);
  } catch {
    // It died again, or answers no more: the verdict stands without a name.
    return null;
  } finally {
    await target.stop();
  }
}

/** Three snapshots of a heap above it take minutes; those of a fresh process take seconds. */
const SWOLLEN_BYTES = 64 * 2 ** 20;

/** Each of its buffers hangs from sockets and streams, and the search would add as many again. */
const SWOLLEN_EXTERNAL_BYTES = 256 * 2 ** 20;

/** Below the rate at which the search takes its small steps. */
const SEARCH_RATE = 30;
