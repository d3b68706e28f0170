/** Opens the ops listener, and decides how much it matters when that fails. */
import type { Config } from '../config/load.ts';
import { parseOpsAddress } from '../config/ops-address.ts';
import type { Status } from '../control/status.ts';
import type { Told } from '../control/types.ts';
import { CofferdamError } from '../errors.ts';
import { renderMetrics } from '../metrics/exposition.ts';
import { answerProbe } from '../probes/answers.ts';
import type { AppAnswer } from './asks.ts';
import type { Log } from './log.ts';
import type { Observer } from './observer.ts';
import { createOpsServer } from './ops.ts';

export interface OpenOpsOptions {
  readonly config: Config;
  readonly log: Log;
  readonly observer: Observer;
  status(): Status;
  /** Requests so far by duration: one count per bound of DURATION_BOUNDS_MS, one for the rest. */
  durations(): readonly number[];
  /** Of the app, for the pools that have this path; null where there are none. */
  health(path: string): Promise<AppAnswer> | null;
}

export interface Ops {
  readonly url: string;
  /** An event for the page, of the pool with this index. */
  told(told: Told, pool: number): void;
  close(): void;
}

/**
 * Null when it is off, or when its default address is taken: a second instance on a machine must
 * start without a flag. An address that was asked for rejects with COF_OPS_ADDRESS.
 */
export async function openOps(options: OpenOpsOptions): Promise<Ops | null> {
  const { config, log, observer } = options;
  const address = parseOpsAddress(config.settings.ops);
  if (address === null) return null;
  // Loaded here, so that who switches the listener off does not pay for the page.
  const { createPage } = await import('./page.ts');
  const page = createPage(options);
  try {
    const server = await createOpsServer({
      address,
      probe: (probe, verbose) => answerProbe(probe, observer.facts(), verbose),
      metrics: (format) => renderMetrics(observer.snapshot(), format),
      status: () => options.status(),
      health: (path) => options.health(path),
      page,
    });
    log.write('info', 'ops', { url: server.url });
    return {
      url: server.url,
      told: (told, pool) => page.told(told, pool),
      close() {
        page.close();
        server.close();
      },
    };
  } catch (error) {
    page.close();
    if (config.origins.ops.source !== 'default' || !(error instanceof CofferdamError)) throw error;
    log.write('warn', 'no_ops', { detail: error.message, hint: error.hint });
    return null;
  }
}
