/** The search for the culprit by itself: a real app under real load, without the minute of looks. */
import { onTestFinished } from 'vitest';
import type { Culprit, CulpritOptions, findCulprit as Find } from '../../src/leak/culprit.ts';
import type { openLane as Open } from '../../src/leak/lane.ts';
import type { Signal } from '../../src/leak/series.ts';
import type { startTarget as Start } from '../../src/leak/target.ts';
import type { Verdict } from '../../src/leak/verdict.ts';

export interface SearchOptions {
  /** What the verdict said leaks. */
  readonly signals: readonly Signal[];
  readonly path?: string;
  /** Requests while the sampling profile runs: enough that chance is no line. */
  readonly profiled?: number;
  readonly culprit?: CulpritOptions;
}

/** As the experiment does it when a leak is certain: profile, snapshots, creating sites. */
export async function searchCulprit(app: string, options: SearchOptions): Promise<Culprit> {
  const { startTarget, openLane, findCulprit } = await loadBuilt();
  const target = await startTarget({
    app,
    args: [],
    nodeArgs: [],
    node: process.execPath,
    env: process.env,
    cwd: process.cwd(),
    bootTimeoutMs: BOOT_MS,
    output: null,
  });
  onTestFinished(() => target.stop());
  const templates = [{ method: 'GET', path: options.path ?? '/?n={{n}}' }];
  const lane = await openLane(target, { ...LOAD, templates });
  await lane.drive(WARM_UP);
  await target.ask({ type: 'profile_start', intervalBytes: PROFILE_BYTES });
  const before = await target.ask({ type: 'profile' });
  await lane.drive(options.profiled ?? 1);
  return findCulprit(
    lane,
    verdictOf(options.signals),
    { profile: before.type === 'profile' ? before.head : null, requests: WARM_UP },
    options.culprit ?? { snapshotFolder: null },
  );
}

// --- internal ---

const BOOT_MS = 15_000;
const WARM_UP = 300;
const PROFILE_BYTES = 32 * 1024;
const LOAD = { ratePerSecond: 1000, connections: 10, batch: 50, anyStatus: false };

/** Built, because the app loads the probe that stands beside it. */
async function loadBuilt() {
  const load = (name: string): Promise<unknown> =>
    import(new URL(`../../dist/leak/${name}.js`, import.meta.url).href);
  return {
    ...((await load('target')) as { startTarget: typeof Start }),
    ...((await load('lane')) as { openLane: typeof Open }),
    ...((await load('culprit')) as { findCulprit: typeof Find }),
  };
}

function verdictOf(signals: readonly Signal[]): Verdict {
  return {
    kind: 'leak',
    signal: signals[0] ?? 'heap',
    rate: null,
    findings: signals.map((signal) => ({ signal, state: 'leaks', looks: [], visible: null })),
    slow: [],
    keyedByInput: false,
    slowing: null,
    moreRequests: null,
    because: '',
  };
}
