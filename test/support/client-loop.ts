/** The closed loop that all clients share: ask, check, think, again, until told to stop. */
import { setTimeout as sleep } from 'node:timers/promises';
import { ClientFailure, emptyTally, type Tally } from './tally.ts';

export interface ClientRun {
  /** Live; read it at any moment. */
  readonly tally: Tally;
  /** Ends the loops after their current request and closes the connections. */
  stop(): Promise<Tally>;
}

export interface LoopOptions {
  /** Loops side by side; also the connections of a keep-alive client. */
  readonly clients?: number;
  /** Pause between two requests, picked at random from 0 up to this. */
  readonly thinkMs?: number;
  /** After so long without (the end of) an answer a request counts as hung or timed out. */
  readonly patienceMs?: number;
}

/** Long enough for two busy cores: what takes longer has been forgotten by the server. */
export const DEFAULT_PATIENCE_MS = 15_000;
const DEFAULT_CLIENTS = 16;
const DEFAULT_THINK_MS = 10;
/** A client whose request failed waits, or a dead server would be asked thousands of times. */
const AFTER_FAILURE_MS = 25;

/** `once` does one round and counts it; it returns whether all was well, and never throws. */
export function startLoops(
  options: LoopOptions,
  once: (lane: number, tally: Tally) => Promise<boolean>,
  close: () => void | Promise<void>,
): ClientRun {
  const tally = emptyTally();
  const stopping = new AbortController();
  const loop = async (lane: number): Promise<void> => {
    while (!stopping.signal.aborted) {
      const well = await once(lane, tally);
      const think = Math.random() * (options.thinkMs ?? DEFAULT_THINK_MS);
      await sleep(well ? think : AFTER_FAILURE_MS);
    }
  };
  const loops = Array.from({ length: options.clients ?? DEFAULT_CLIENTS }, (_, lane) => loop(lane));
  let stopped: Promise<Tally> | null = null;
  const stop = async (): Promise<Tally> => {
    stopping.abort();
    await Promise.all(loops);
    await close();
    return tally;
  };
  return { tally, stop: () => (stopped ??= stop()) };
}

/** How far a request has come: what is missing decides between hung and timeout. */
export interface Watch {
  phase: 'connecting' | 'sent' | 'answering';
  /** Aborted, with a {@link ClientFailure} as reason, when patience is over. */
  readonly signal: AbortSignal;
}

/** Runs `work`; rejects with a {@link ClientFailure} when it takes longer than `patienceMs`. */
export async function withPatience<T>(
  patienceMs: number,
  work: (watch: Watch) => Promise<T>,
): Promise<T> {
  const impatience = new AbortController();
  const watch: Watch = { phase: 'sent', signal: impatience.signal };
  let timer: NodeJS.Timeout | undefined;
  const deadline = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      const failure = watch.phase === 'sent' ? 'hung' : 'timeout';
      const reason = new ClientFailure(failure, `${watch.phase} after ${patienceMs} ms`);
      reject(reason);
      impatience.abort(reason);
    }, patienceMs);
  });
  try {
    return await Promise.race([work(watch), deadline]);
  } finally {
    clearTimeout(timer);
  }
}
