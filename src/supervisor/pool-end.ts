/** The end of a pool: its gateway and its workers, whichever ends first, then all that is left. */
import type { Outcome } from '../control/types.ts';
import { worstOf } from './exit-code.ts';
import type { PoolRunner } from './pool-runner.ts';

export interface PoolEndOptions {
  readonly workers: () => PoolRunner;
  /** Null where the workers take connections themselves. */
  readonly gateway: () => PoolRunner | null;
  /** Resolves when nothing else of the pool is left, which it sees to. */
  readonly rest: () => Promise<unknown>;
  readonly finished: (outcome: Outcome) => void;
}

export interface PoolEnd {
  workersFinished(outcome: Outcome): void;
  gatewayFinished(outcome: Outcome): void;
}

export function createPoolEnd({ workers, gateway, rest, finished }: PoolEndOptions): PoolEnd {
  let ofWorkers: Outcome | null = null;
  let ofGateway: Outcome | null = null;

  const finish = (): void => {
    const outcomes = [ofWorkers, ofGateway].filter((each) => each !== null);
    void rest().then(() => finished(worstOf(outcomes)));
  };
  return {
    gatewayFinished(outcome) {
      ofGateway = outcome;
      if (ofWorkers !== null) return finish();
      if (outcome.type !== 'never_booted') {
        // Nobody sends them anything any more.
        return workers().loop.enqueue({ type: 'stop', mode: 'graceful' });
      }
      ofWorkers = outcome;
      finish();
    },
    workersFinished(outcome) {
      ofWorkers = outcome;
      const front = gateway();
      if (front === null || ofGateway !== null) return finish();
      front.loop.enqueue({ type: 'stop', mode: 'now' });
    },
  };
}
