/** `cofferdam status`: a running instance at a glance. */
import { setTimeout as sleep } from 'node:timers/promises';
import { parseFlags } from '../config/flags.ts';
import { formatBytes, formatDuration } from '../config/units.ts';
import type { PoolStatus, Status, WorkerStatus } from '../control/status.ts';
import { EXIT } from '../errors.ts';
import { alignColumns } from './columns.ts';
import type { CommandContext } from './command.ts';
import { INSTANCE_SETTINGS } from './commands.ts';
import { ANSWER_TIMEOUT_MS, ask, findInstance } from './control-client.ts';
import { painterFor, type Paint } from './terminal.ts';

/** As often as workers report. */
const WATCH_MS = 1000;

/** Cursor to the top left, and what follows is cleared: without the flicker of a cleared screen. */
const HOME = '\u001B[H';
const CLEAR_BELOW = '\u001B[J';
const CLEAR_SCREEN = '\u001B[2J';

export async function run(argv: readonly string[], context: CommandContext): Promise<number> {
  const switches = ['json', 'watch'];
  const flags = parseFlags(argv, { settings: INSTANCE_SETTINGS, switches });
  const instance = await findInstance(flags, context);
  const { stdout } = context;
  const paint = painterFor(stdout, context.env);
  const timeoutMs = ANSWER_TIMEOUT_MS;
  const isJson = flags.switches.has('json');
  const isScreen = flags.switches.has('watch') && stdout.isTTY === true && !isJson;
  for (let round = 0; ; round += 1) {
    const { status } = await ask({ command: 'status' }, instance, { timeoutMs });
    const text = isJson ? `${JSON.stringify(status)}\n` : renderStatus(status, paint);
    const top = round === 0 ? CLEAR_SCREEN + HOME : HOME;
    stdout.write(isScreen ? top + text.replaceAll('\n', '\u001B[K\n') + CLEAR_BELOW : text);
    if (!flags.switches.has('watch') || stdout.destroyed || stdout.errored) return EXIT.ok;
    await sleep(WATCH_MS);
  }
}

/** At most 80 columns for up to 999 slots; ends with a newline. */
export function renderStatus(status: Status, paint: Paint): string {
  const { budget, treeBytes, supervisorBytes } = status;
  // Each pool says where it listens then.
  const several = status.pools.length > 1;
  const percent = Math.round((treeBytes / budget.bytes) * 100);
  return [
    `${paint('bold', status.name)}  ${status.state}  pid ${status.pid}  up ${age(status.uptimeMs)}`,
    ...(several ? [] : [`listening  ${status.listen.join('  ') || 'not yet'}`]),
    `memory     ${formatBytes(treeBytes)} of ${formatBytes(budget.bytes)} (${percent}%, ` +
      `${budget.origin}), supervisor ${formatBytes(supervisorBytes)}`,
    `recycles   ${countRecycles(status)}`,
    ...(status.ops === null ? [] : [`ops        ${status.ops}`]),
    `failures   ${status.crashes} crashes, ${status.bootFailures} boot failures`,
    ...status.pools.flatMap((pool) => renderPool(pool, status, paint)),
    '',
  ].join('\n');
}

// --- internal ---

function countRecycles({ recycles }: Status): string {
  const counts = Object.entries(recycles).filter(([, count]) => count > 0);
  return counts.map(([reason, count]) => `${reason} ${count}`).join(', ') || 'none yet';
}

/** The name of a pool only matters where there are several. */
function renderPool(pool: PoolStatus, status: Status, paint: Paint): readonly string[] {
  const workers = status.workers.filter((worker) => worker.pool === pool.name);
  const queue = pool.waiting === null ? [] : [`queue      ${pool.waiting} waiting`];
  return [
    ...(status.pools.length > 1 ? ['', titleOf(pool, status, paint)] : [...queue, '']),
    ...pool.notes.map((note) => `${paint('yellow', 'note')}       ${note}`),
    ...renderWorkers(workers, paint),
    ...(pool.healthWorkers.length === 0
      ? []
      : ['', paint('dim', 'kept for health checks'), ...renderWorkers(pool.healthWorkers, paint)]),
  ];
}

/** `api  http://0.0.0.0:3001  3 waiting  …/api/server.js`, in 80 columns. */
function titleOf(pool: PoolStatus, status: Status, paint: Paint): string {
  const facts = [
    // Each has the state of the whole, but for the one that is behind or ahead.
    ...(pool.state === status.state ? [] : [pool.state]),
    ...pool.listen,
    ...(pool.waiting === null ? [] : [`${pool.waiting} waiting`]),
  ];
  const text = ['', ...facts, ''].join('  ');
  const room = Math.max(APP_CHARS_MIN, COLUMNS - pool.name.length - text.length);
  const app = pool.app.length > room ? `…${pool.app.slice(1 - room)}` : pool.app;
  return paint('bold', pool.name) + text + app;
}

/** Everybody's terminal is as wide. */
const COLUMNS = 80;

/** The name of a file, at least. */
const APP_CHARS_MIN = 12;

function renderWorkers(workers: readonly WorkerStatus[], paint: Paint): readonly string[] {
  const [head = '', ...rows] = alignColumns(
    [
      ['SLOT', 'STATE', 'PID', 'GEN', 'AGE', 'REQS', 'BUSY', 'MEMORY', 'GROWTH', 'NEXT'],
      ...workers.map((worker) => [
        String(worker.slot),
        worker.responsive ? worker.state : 'silent',
        String(worker.pid ?? '-'),
        String(worker.generation),
        briefly(worker.ageMs),
        count(worker.requests),
        String(worker.inFlight),
        memoryOf(worker),
        growthOf(worker),
        nextOf(worker),
      ]),
    ],
    ['right', 'left', 'right', 'right', 'right', 'right', 'right', 'left', 'right', 'left'],
  );
  return [paint('dim', head), ...rows];
}

/** Four steps say as much as a person reads. */
const BAR_CELLS = 4;

/** `▰▰▱▱ 212MiB`: how much of its limit a worker has used up. */
function memoryOf({ memoryBytes, limitBytes }: WorkerStatus): string {
  const memory = formatBytes(memoryBytes);
  if (limitBytes === 0) return memory;
  const share = Math.min(1, memoryBytes / limitBytes);
  const full = Math.round(share * BAR_CELLS);
  return `${'▰'.repeat(full)}${'▱'.repeat(BAR_CELLS - full)} ${memory}`;
}

function growthOf({ slopeBytesPerSecond }: WorkerStatus): string {
  // Below a kibibyte a second it is noise, and memory that comes back is no growth.
  if (slopeBytesPerSecond < 1024) return '-';
  return `${formatBytes(slopeBytesPerSecond)}/s`;
}

/** The reasons as they fit into a column; the long words are in --json and in the log. */
const SHORT_REASONS = { max_requests: 'reqs', max_memory: 'memory', max_age: 'age' } as const;

function nextOf({ next }: WorkerStatus): string {
  return next === null ? '-' : `${SHORT_REASONS[next.reason]} ${briefly(next.inMs)}`;
}

/** Two units at most: nobody needs the seconds of a day. */
function age(milliseconds: number): string {
  const steps = [86_400_000, 3_600_000, 60_000, 1000];
  const unit = steps.findIndex((step) => milliseconds >= step);
  const grain = unit === -1 ? 1000 : (steps[Math.min(unit + 1, steps.length - 1)] ?? 1000);
  const whole = Math.floor(milliseconds / grain) * grain;
  return whole === 0 ? '0s' : formatDuration(whole);
}

/** One unit: the columns of a table have to fit. */
function briefly(milliseconds: number): string {
  return /^\d+[a-z]+/.exec(age(milliseconds))?.[0] ?? '0s';
}

/** `12.3M`: from 100 000 on, nobody reads the last digits. */
function count(number: number): string {
  if (number < 100_000) return String(number);
  return number < 1e6 ? `${Math.floor(number / 1000)}k` : `${(number / 1e6).toFixed(1)}M`;
}
