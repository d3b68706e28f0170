/** `cofferdam status`: a running instance at a glance. */
import { parseFlags } from '../config/flags.ts';
import { formatBytes, formatDuration } from '../config/units.ts';
import type { Status, WorkerStatus } from '../control/status.ts';
import { EXIT } from '../errors.ts';
import { alignColumns } from './columns.ts';
import type { CommandContext } from './command.ts';
import { INSTANCE_SETTINGS } from './commands.ts';
import { ANSWER_TIMEOUT_MS, ask, findInstance } from './control-client.ts';
import { painterFor, type Paint } from './terminal.ts';

export async function run(argv: readonly string[], context: CommandContext): Promise<number> {
  const flags = parseFlags(argv, { settings: INSTANCE_SETTINGS, switches: ['json'] });
  const instance = await findInstance(flags, context);
  const timeoutMs = ANSWER_TIMEOUT_MS;
  const { status } = await ask({ command: 'status' }, instance, { timeoutMs });
  const text = flags.switches.has('json')
    ? `${JSON.stringify(status)}\n`
    : renderStatus(status, painterFor(context.stdout, context.env));
  context.stdout.write(text);
  return EXIT.ok;
}

/** At most 80 columns for up to 999 slots; ends with a newline. */
export function renderStatus(status: Status, paint: Paint): string {
  const { budget, treeBytes, supervisorBytes } = status;
  const percent = Math.round((treeBytes / budget.bytes) * 100);
  return [
    `${paint('bold', status.name)}  ${status.state}  pid ${status.pid}  up ${age(status.uptimeMs)}`,
    `listening  ${status.listen.join('  ') || 'not yet'}`,
    `memory     ${formatBytes(treeBytes)} of ${formatBytes(budget.bytes)} (${percent}%, ` +
      `${budget.origin}), supervisor ${formatBytes(supervisorBytes)}`,
    `recycles   ${countRecycles(status)}`,
    `failures   ${status.crashes} crashes, ${status.bootFailures} boot failures`,
    ...status.notes.map((note) => `${paint('yellow', 'note')}       ${note}`),
    '',
    ...renderWorkers(status.workers, paint),
    '',
  ].join('\n');
}

// --- internal ---

function countRecycles({ recycles }: Status): string {
  const counts = Object.entries(recycles).filter(([, count]) => count > 0);
  return counts.map(([reason, count]) => `${reason} ${count}`).join(', ') || 'none yet';
}

function renderWorkers(workers: readonly WorkerStatus[], paint: Paint): readonly string[] {
  const [head = '', ...rows] = alignColumns(
    [
      ['SLOT', 'GEN', 'PID', 'STATE', 'AGE', 'REQUESTS', 'BUSY', 'LONG', 'CONN', 'MEMORY'],
      ...workers.map((worker) => [
        String(worker.slot),
        String(worker.generation),
        String(worker.pid ?? '-'),
        worker.state,
        age(worker.ageMs),
        String(worker.requests),
        String(worker.inFlight),
        String(worker.longLived),
        String(worker.connections),
        memoryOf(worker),
      ]),
    ],
    ['right', 'right', 'right', 'left', 'right', 'right', 'right', 'right', 'right', 'left'],
  );
  return [paint('dim', head), ...rows];
}

function memoryOf({ memoryBytes, limitBytes }: WorkerStatus): string {
  const limit = limitBytes > 0 ? `/${formatBytes(limitBytes)}` : '';
  return `${formatBytes(memoryBytes)}${limit}`;
}

/** Two units at most: nobody needs the seconds of a day. */
function age(milliseconds: number): string {
  const steps = [86_400_000, 3_600_000, 60_000, 1000];
  const unit = steps.findIndex((step) => milliseconds >= step);
  const grain = unit === -1 ? 1000 : (steps[Math.min(unit + 1, steps.length - 1)] ?? 1000);
  const whole = Math.floor(milliseconds / grain) * grain;
  return whole === 0 ? '0s' : formatDuration(whole);
}
