/** Plays seeds; the door for the test and for `npm run simulate`. */
import { Foul } from './book.ts';
import { createGame, feed, run } from './game.ts';
import { scheduleActions } from './people.ts';
import { perform } from './processes.ts';

export interface Result {
  readonly seed: number;
  readonly steps: number;
  readonly virtualMs: number;
  readonly spawned: number;
  readonly recycled: number;
  readonly crashed: number;
  readonly bootFailed: number;
  readonly outcome: string;
  /** Kinds of effects and of things told. */
  readonly seen: ReadonlySet<string>;
}

/**
 * Plays one seed to its end. Throws a {@link Foul} that names the broken rule, the seed and the
 * time; with `history` its cause is everything that went in and out.
 */
export function play(seed: number, history = false): Result {
  const game = createGame(seed, perform, history);
  try {
    scheduleActions(game);
    feed(game, { type: 'start' });
    run(game);
  } catch (error) {
    const text = error instanceof Foul ? error.message : String((error as Error).stack);
    const where = `SIM_SEED=${seed}, step ${game.steps}, at ${Math.round(game.now)} ms`;
    throw new Foul(`${text} (${where})`, { cause: game.history?.join('\n') });
  }
  const { recycled, crashed, bootFailed } = game.referee.book;
  return {
    seed,
    steps: game.steps,
    virtualMs: game.now,
    spawned: game.workers.size,
    recycled,
    crashed,
    bootFailed,
    outcome: game.outcome,
    seen: game.seen,
  };
}
