/** Checks that no row of the table can make alone: settings against each other. */
import { CofferdamError } from '../errors.ts';
import {
  explainLeastBudget,
  FLOOR_BYTES,
  leastBudgetBytes,
  type Crew,
  type KindName,
} from './budget.ts';
import { kindNameOf } from './kind.ts';
import { crewsOf } from './policy.ts';
import { parseOpsAddress } from './ops-address.ts';
import type { Origin } from './given.ts';
import type { SettingKey, Settings } from './settings.ts';
import { formatBytes, formatBytesExactly, formatDuration, formatShare } from './units.ts';

/**
 * Throws COF_LIMIT_TOO_LOW when the budget could never hold; `auto` is checked when it is known.
 */
export function validateSettings(settings: Settings, cwd: string): void {
  validateOps(settings);
  validateTls(settings);
  validateMaxMemory(settings, kindNameOf(settings, cwd));
  const { memoryBudgetBytes, workers } = settings;
  if (memoryBudgetBytes === 'auto' || workers === 'auto') return;
  checkBudget(memoryBudgetBytes, crewsOf([{ settings }], cwd));
}

/** Throws COF_CONFLICT when two pools ask for one port. */
export function validatePools(
  pools: readonly {
    readonly name: string;
    readonly settings: Settings;
    readonly origins: Readonly<Record<SettingKey, Origin>>;
  }[],
): void {
  const owners = new Map<number, string>();
  for (const { name, settings, origins } of pools) {
    if (origins.port.source === 'default' || settings.port === 0) continue;
    const other = owners.get(settings.port);
    if (other !== undefined) {
      const message = `the pools ${other} and ${name} both ask for port ${settings.port}`;
      throw new CofferdamError('COF_CONFLICT', message, { hint: 'Give each a port of its own.' });
    }
    owners.set(settings.port, name);
  }
}

/** Throws COF_LIMIT_TOO_LOW, with the arithmetic, for a budget below what bare pools need. */
export function checkBudget(budgetBytes: number, crews: readonly Crew[]): void {
  if (budgetBytes >= leastBudgetBytes(crews)) return;
  throw new CofferdamError(
    'COF_LIMIT_TOO_LOW',
    `a memory budget of ${formatBytesExactly(budgetBytes)} is below the least that ` +
      `this pool needs: ${explainLeastBudget(crews)}`,
  );
}

/** What is allowed but probably not meant: sentences for `check` and the log. */
export function adviseOn(settings: Settings, kind: KindName): readonly string[] {
  const { maxMemoryBytes, memorySoft, gate, surge, drainTimeoutMs, longDrainTimeoutMs } = settings;
  const notes: string[] = [];
  if (surge > 0 && surge < gate) {
    notes.push(`surge ${surge} limits gate ${gate}: only ${surge} can be replaced at once`);
  }
  const softBytes = maxMemoryBytes * memorySoft;
  if (maxMemoryBytes > 0 && softBytes < FLOOR_BYTES[kind]) {
    notes.push(
      `the soft limit, ${formatShare(memorySoft)} of max-memory, is ${formatBytes(softBytes)}: ` +
        `below what a bare worker needs under load (${formatBytes(FLOOR_BYTES[kind])})`,
    );
  }
  if (longDrainTimeoutMs < drainTimeoutMs) {
    notes.push('long-drain-timeout is shorter than drain-timeout');
  }
  const { terminationGraceMs, strategy, spare, workers } = settings;
  const stopMs = longestStopMs(settings);
  if (terminationGraceMs > 0 && stopMs >= terminationGraceMs) {
    notes.push(
      `a stop takes up to ${formatDuration(stopMs)}, termination-grace is ` +
        `${formatDuration(terminationGraceMs)}: what still serves then is killed`,
    );
  }
  if (strategy === 'ondemand' && workers !== 'auto' && workers.min < workers.max) {
    notes.push(`strategy ondemand goes down to no worker: of workers only ${workers.max} counts`);
  }
  if (strategy === 'dynamic' && workers !== 'auto' && spare >= workers.max) {
    notes.push(`spare ${spare} keeps all ${workers.max} workers: that is strategy static`);
  }
  return notes;
}

/** From the order to stop until nobody is left, milliseconds, if everything takes its time. */
export function longestStopMs(
  settings: Pick<Settings, 'shutdownDelayMs' | 'drainTimeoutMs' | 'killTimeoutMs'>,
): number {
  const { shutdownDelayMs, drainTimeoutMs, killTimeoutMs } = settings;
  return shutdownDelayMs + drainTimeoutMs + 2 * killTimeoutMs;
}

// --- internal ---

/** What the ops listener answers itself cannot be the app's health path. */
const OPS_PATHS: readonly string[] = ['/', '/livez', '/readyz', '/startupz', '/metrics', '/status'];

function validateOps(settings: Settings): void {
  const { ops, healthPath, saturationHigh, saturationLow, readyMin, workers } = settings;
  if (parseOpsPort(ops) > PORT_MAX) {
    throw new CofferdamError('COF_BAD_VALUE', `--ops: ${ops} has no such port`);
  }
  if (healthPath !== null && OPS_PATHS.includes(healthPath)) {
    const message = `--health-path: ${healthPath} is answered by Cofferdam itself`;
    throw new CofferdamError('COF_CONFLICT', message, { hint: 'Choose another path.' });
  }
  if (saturationHigh > 0 && saturationLow >= saturationHigh) {
    throw new CofferdamError(
      'COF_CONFLICT',
      `--saturation-low (${formatShare(saturationLow)}) must be below ` +
        `--saturation-high (${formatShare(saturationHigh)})`,
    );
  }
  if (workers !== 'auto' && readyMin > workers.max) {
    const message = `--ready-min ${readyMin} can never be met by ${workers.max} workers`;
    throw new CofferdamError('COF_CONFLICT', message);
  }
}

function validateMaxMemory({ maxMemoryBytes }: Settings, kind: KindName): void {
  const least = FLOOR_BYTES[kind];
  if (maxMemoryBytes === 0 || maxMemoryBytes >= least) return;
  const [needed, given] = [formatBytes(least), formatBytesExactly(maxMemoryBytes)];
  throw new CofferdamError(
    'COF_LIMIT_TOO_LOW',
    `--max-memory must be at least ${needed}, not ${given}`,
    { hint: `A ${NAMES[kind]} worker needs ${needed} before it does any work.` },
  );
}

const NAMES: Readonly<Record<KindName, string>> = { node: 'Node', php: 'PHP', command: 'command' };

/** One alone would be plain HTTP where somebody wants none. */
function validateTls({ tlsCert, tlsKey }: Settings): void {
  if ((tlsCert === null) === (tlsKey === null)) return;
  const [given, missing] = tlsKey === null ? ['cert', 'key'] : ['key', 'cert'];
  const message = `--tls-${given} without --tls-${missing}`;
  throw new CofferdamError('COF_CONFLICT', message, { hint: 'TLS needs both.' });
}

const PORT_MAX = 65_535;

function parseOpsPort(text: string): number {
  return parseOpsAddress(text)?.port ?? 0;
}
