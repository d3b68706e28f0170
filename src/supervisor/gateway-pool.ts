/** The gateway in front of a pool's workers: a pool of one process, first to come and to go. */
import type { Policy, Told } from '../control/types.ts';
import { announce, labelled } from './announce.ts';
import { gatewayPolicy } from './launch-gateway.ts';
import type { Log } from './log.ts';
import { createPoolRunner, type PoolRunner, type PoolRunnerOptions } from './pool-runner.ts';

export interface GatewayPoolOptions extends PoolRunnerOptions {
  /** Of the workers behind it. */
  readonly policy: Policy;
  readonly log: Log;
  /** That it leaves: with it the whole pool does. */
  readonly told: (told: Told) => void;
  /** It listens: there is somebody to reach the workers. */
  ready(): void;
}

export function createGatewayPool(options: GatewayPoolOptions): PoolRunner {
  const log = labelled(options.log, options.name);
  return createPoolRunner({
    ...options,
    policy: gatewayPolicy(options.policy),
    told(told) {
      if (told.event === 'leaving' || told.event === 'stopping') options.told(told);
      else announce(told, { log, publish: () => {} });
      if (told.event === 'all_ready') options.ready();
    },
  });
}
