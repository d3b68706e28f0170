/**
 * Settings from environment variables: `COFFERDAM_…` first, then the names that all servers share.
 */
import { CofferdamError } from '../errors.ts';
import { BRIEF_VARIABLE } from '../protocol.ts';
import type { Given } from './given.ts';
import { allowsSource, variableOf, type SettingRow } from './setting-row.ts';
import { SETTINGS } from './settings.ts';
import { suggest } from './suggest.ts';

/** Throws COF_UNKNOWN_SETTING for a `COFFERDAM_…` variable that is no setting. */
export function readEnvironment(env: NodeJS.ProcessEnv): readonly Given[] {
  const rows: readonly SettingRow[] = SETTINGS.filter((row) => allowsSource(row, 'env'));
  refuseUnknown(env, rows);
  return rows.flatMap((row) => {
    const names = [variableOf(row.key), ...(row.commonVariables ?? [])];
    const name = names.find((name) => isSet(name, env[name]));
    if (name === undefined) return [];
    return [
      { key: row.key, value: env[name], name, origin: { source: 'env', where: `env ${name}` } },
    ];
  });
}

// --- internal ---

/** Empty counts as not set: compose files pass `${PORT:-}` on like this. */
function isSet(name: string, value: string | undefined): value is string {
  return value !== undefined && value !== '' && !isServiceLink(name, value);
}

/**
 * Kubernetes gives every pod variables about each service: one named `cofferdam` makes
 * `COFFERDAM_PORT=tcp://10.0.0.7:80`, `COFFERDAM_SERVICE_HOST` and more, which are not for us.
 */
function isServiceLink(name: string, value: string): boolean {
  return (
    /_SERVICE_(?:HOST|PORT(?:_\w+)?)$|_PORT_\d+_(?:TCP|UDP|SCTP)(?:_\w+)?$/.test(name) ||
    (name.endsWith('_PORT') && /^(?:tcp|udp|sctp):\/\//.test(value))
  );
}

function refuseUnknown(env: NodeJS.ProcessEnv, rows: readonly SettingRow[]): void {
  const known = rows.map((row) => variableOf(row.key));
  for (const [name, value] of Object.entries(env)) {
    if (!name.startsWith('COFFERDAM_') || known.includes(name) || !isSet(name, value)) continue;
    // The brief of a worker, when one Cofferdam runs under another.
    if (name === BRIEF_VARIABLE && value.startsWith('{')) continue;
    const guess = suggest(name, known);
    throw new CofferdamError(
      'COF_UNKNOWN_SETTING',
      `there is no setting for the environment variable ${name}`,
      guess === null ? {} : { hint: `Did you mean ${guess}?` },
    );
  }
}
