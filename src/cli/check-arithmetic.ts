/** What `cofferdam check` says of sums: memory, replacements, the time that a stop takes. */
import { addUp, FLOOR_BYTES, leastBudgetBytes, type Crew } from '../config/budget.ts';
import type { PoolConfig } from '../config/load.ts';
import { formatBytes, formatCount, formatDuration, formatShare } from '../config/units.ts';
import { longestStopMs } from '../config/validate.ts';
import { LOAD_MAX } from '../control/load.ts';
import type { PoolStatus } from '../control/status.ts';
import type { Budget } from '../metrics/budget.ts';

/** Pools, and as many processes as each of them may have at most. */
export interface Sized {
  readonly pools: readonly PoolConfig[];
  readonly crews: readonly Crew[];
  readonly budget: Budget;
}

/** The worst case of the per-worker limits, and what the gate cannot do: what will not hold. */
export function warnOf(sized: Sized): readonly string[] {
  const { budget } = sized;
  const notes = [...warnOfLimits(sized), ...warnOfAge(sized)];
  if (budget.limitBytes !== null && budget.bytes > budget.limitBytes) {
    const limit = formatBytes(budget.limitBytes);
    notes.push(`the budget is above the limit that the kernel enforces, ${limit}`);
  }
  return notes;
}

/** What is not known before the app runs is told at the start, with the measured numbers. */
export function explainMemory({ pools, crews, budget }: Sized): string {
  const { workers, surge } = addUp(crews);
  const floors = `floor x (${workers} + ${surge} surge)`;
  const leaks = [...new Set(pools.map((pool, at) => leakOf(pool, crews[at]?.workers ?? 0)))];
  const has = `has to fit into ${formatBytes(budget.bytes)}`;
  return `${[floors, ...leaks].join(' + ')} ${has}; floor and leak are told when measured`;
}

/** Of the pool whose gate has most to do; what boots and drains take is told when measured. */
export function explainRecycler({ pools, crews }: Sized): string {
  const most = `has to stay below ${formatShare(LOAD_MAX)}`;
  const load = `load = workers x (boot + drain) / cycle / gate ${most}`;
  const bounds = pools.flatMap(({ name, settings }, at) => {
    const workers = crews[at]?.workers ?? 0;
    const places = placesOf(settings);
    const whose = pools.length === 1 ? '' : `${name}: `;
    const { maxRequests, maxAgeMs } = settings;
    const perSecond = Math.floor((maxRequests * LOAD_MAX * places) / REPLACE_GUESS_S);
    return [
      ...(maxRequests > 0
        ? [`${whose}max-requests ${maxRequests} holds up to ${perSecond} requests/s ${IF_SO_LONG}`]
        : []),
      ...(maxAgeMs > 0
        ? [
            `${whose}max-age ${formatDuration(maxAgeMs)} leaves each of ${workers} workers ` +
              `${formatDuration(ageShareMs(settings, workers))} for both`,
          ]
        : []),
    ];
  });
  return [load, ...bounds].join('; ');
}

/** Who stops us from outside has to wait longer than this, or kills what still serves. */
export function explainStop(pools: readonly PoolConfig[]): string {
  const [slowest] = pools
    .map(({ settings }) => settings)
    .sort((one, other) => longestStopMs(other) - longestStopMs(one));
  if (slowest === undefined) return 'at once';
  const { shutdownDelayMs, drainTimeoutMs, killTimeoutMs, terminationGraceMs } = slowest;
  const delay = shutdownDelayMs > 0 ? `${formatDuration(shutdownDelayMs)} delay + ` : '';
  const sum =
    `${delay}${formatDuration(drainTimeoutMs)} drain + ` +
    `2 x ${formatDuration(killTimeoutMs)} kill`;
  const most = `${formatDuration(longestStopMs(slowest))} at most: ${sum}`;
  return terminationGraceMs > 0
    ? `${most}, within ${formatDuration(terminationGraceMs)} of termination-grace`
    : `${most}; terminationGracePeriodSeconds has to be longer`;
}

/** What the instance that runs under this name has measured of its pools. */
export function explainMeasured(running: readonly PoolStatus[] | null): readonly string[] {
  if (running === null) return ['nothing: no instance of this name runs'];
  return running.map(
    ({ name, app, arithmetic }) =>
      `${running.length === 1 ? '' : `${name}: `}${arithmetic ?? 'nothing yet'} (${app} as it runs)`,
  );
}

// --- internal ---

/** Only for a number that people can scale in their head. */
const REPLACE_GUESS_S = 1;
const IF_SO_LONG = `if both take ${REPLACE_GUESS_S}s`;
/** A bare Node boots in 40 ms of CPU, and drains in no less than a turn of its event loop. */
const REPLACE_LEAST_MS = 50;

function leakOf(
  { settings: { maxRequests, maxMemoryBytes } }: PoolConfig,
  workers: number,
): string {
  if (maxRequests > 0) return `leak x ${maxRequests} requests x ${workers}`;
  if (maxMemoryBytes > 0) return `growth up to ${formatBytes(maxMemoryBytes)} each`;
  return 'leak x requests';
}

function warnOfLimits({ pools, crews, budget }: Sized): readonly string[] {
  const isOne = pools.length === 1;
  const limits = pools.map(({ name, settings }, at) => ({
    name: isOne ? '' : `${name} `,
    workers: crews[at]?.workers ?? 0,
    bytes: settings.maxMemoryBytes,
  }));
  const { surge } = addUp(crews);
  const surgeBytes = surge * Math.max(...limits.map(({ bytes }) => bytes));
  const bareBytes = leastBudgetBytes(crews.map((crew) => ({ ...crew, workers: 0, surge: 0 })));
  const worstBytes = limits.reduce(
    (sum, { workers, bytes }) => sum + workers * bytes,
    surgeBytes + bareBytes,
  );
  if (limits.every(({ bytes }) => bytes === 0) || worstBytes <= budget.bytes) return [];
  const terms = limits.map(
    ({ name, workers, bytes }) =>
      `${name}max-memory ${formatBytes(bytes)} x ` +
      formatCount(isOne ? workers + surge : workers, 'worker'),
  );
  if (!isOne) terms.push(`surge ${formatBytes(surgeBytes)}`);
  const gateways = crews.filter(({ hasGateway }) => hasGateway).length;
  if (gateways > 0) terms.push(`gateway ${formatBytes(gateways * FLOOR_BYTES.node)}`);
  return [
    `${terms.join(' + ')} + supervisor = ${formatBytes(worstBytes)}: ` +
      `more than the budget of ${formatBytes(budget.bytes)}`,
  ];
}

function warnOfAge({ pools, crews }: Sized): readonly string[] {
  return pools.flatMap(({ settings }, at) => {
    const workers = crews[at]?.workers ?? 0;
    if (settings.maxAgeMs === 0 || ageShareMs(settings, workers) >= REPLACE_LEAST_MS) return [];
    const age = formatDuration(settings.maxAgeMs);
    return [
      `max-age ${age} cannot be kept by ${formatCount(workers, 'worker')}: ` +
        `the gate has ${formatDuration(ageShareMs(settings, workers))} for each`,
    ];
  });
}

/** So long the replacement of one worker may take, if all of them are to live for max-age. */
function ageShareMs(settings: PoolConfig['settings'], workers: number): number {
  const shortestMs = settings.maxAgeMs * (1 - settings.jitter);
  return Math.round((LOAD_MAX * shortestMs * placesOf(settings)) / Math.max(1, workers));
}

function placesOf({ gate, surge }: PoolConfig['settings']): number {
  return surge > 0 ? Math.min(gate, surge) : gate;
}
