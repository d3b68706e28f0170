/**
 * The doorman: while a pool sleeps, the supervisor itself accepts on its sockets. It reads nothing;
 * a connection waits in the relay for the worker that it wakes, which takes it over as if it had
 * accepted it. As soon as that worker listens by itself the doorman stops.
 */
import type { PoolState } from '../control/pool.ts';
import type { PoolEvent } from '../control/types.ts';
import type { Listeners } from './listeners.ts';
import type { Relay } from './relay.ts';

export interface Doorman {
  /** A turn is over: takes the door if the pool sleeps now. */
  watch(state: PoolState): void;
  /** A connection that waited was taken over, or given up. */
  settled(): void;
}

export interface DoormanOptions {
  readonly listeners: Listeners;
  readonly relay: Relay;
  readonly emit: (event: PoolEvent) => void;
  readonly now: () => number;
}

export function createDoorman({ listeners, relay, emit, now }: DoormanOptions): Doorman {
  /** Since when somebody waits; null = nobody does. */
  let since: number | null = null;

  const tell = (): void => {
    const waiting = relay.counts().pending;
    if (waiting === 0) since = null;
    else since ??= now();
    emit({ type: 'demand', waiting, oldestMs: since === null ? 0 : now() - since });
  };
  return {
    watch({ policy, phase, size }) {
      if (policy.strategy !== 'ondemand' || phase.type !== 'running' || size > 0) return;
      listeners.accept((key, connection) => {
        relay.offer(key, connection, true);
        tell();
      });
    },
    settled() {
      if (since !== null) tell();
    },
  };
}
