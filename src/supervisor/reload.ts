/** What a reload may change of a running configuration, and what has to wait for a restart. */
import { needsRestart, type Config, type PoolConfig } from '../config/load.ts';
import { propertyOf, type SettingRow } from '../config/setting-row.ts';
import { SETTINGS, type SettingKey, type Settings } from '../config/settings.ts';
import type { CofferdamError } from '../errors.ts';
import type { Log } from './log.ts';

export interface Reload {
  /** The new configuration, in which what needs a restart is still as it runs. */
  readonly config: Config;
  /** Settings that changed but that only a restart applies; `pools` when some came or went. */
  readonly restart: readonly string[];
}

export function planReload(running: Config, wanted: Config): Reload {
  const restart = new Set<string>();
  const pools = running.pools.map((pool): PoolConfig => {
    const match = wanted.pools.find(({ name }) => name === pool.name);
    if (match === undefined) restart.add('pools');
    return match === undefined ? pool : keepFixed(pool, match, restart);
  });
  if (wanted.pools.length !== pools.length) restart.add('pools');
  return { config: { ...keepFixed(running, wanted, restart), pools }, restart: [...restart] };
}

export function tellReload(log: Log, { file }: Config, restart: readonly string[]): void {
  log.write('info', 'reloading', { file });
  if (restart.length === 0) return;
  log.write('warn', 'restart_needed', {
    settings: restart.join(', '),
    detail: 'changed, but only a restart applies them',
  });
}

export function tellFailure(log: Log, { code, message, hint }: CofferdamError): void {
  const running = 'the previous configuration';
  log.write('error', 'reload_failed', { code, detail: message, hint, running });
}

// --- internal ---

function keepFixed<T extends Pick<Config, 'settings' | 'origins'>>(
  running: T,
  wanted: T,
  restart: Set<string>,
): T {
  const settings: Record<string, unknown> = { ...wanted.settings };
  const origins = { ...wanted.origins };
  for (const key of needsRestart(running.settings, wanted.settings)) {
    restart.add(key);
    const property = propertyOf(rowOf(key)) as keyof Settings;
    settings[property] = running.settings[property];
    origins[key] = running.origins[key];
  }
  return { ...wanted, settings: settings as Settings, origins };
}

function rowOf(key: SettingKey): SettingRow {
  return SETTINGS.find((row) => row.key === key) as SettingRow;
}
