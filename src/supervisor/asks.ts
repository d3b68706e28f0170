/** Questions to workers that wait for their answer: bounded in number and in time. */
import type { WorkerId } from '../control/types.ts';
import type { WorkerMessage } from '../protocol.ts';

/** What the app answered to a request of ours. */
export interface AppAnswer {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

export interface Asks {
  /** Rejects with a sentence when the worker dies, is late, or is asked too much. */
  ask(worker: WorkerId, timeoutMs: number, send: (id: number) => void): Promise<AppAnswer>;
  answered(worker: WorkerId, message: Extract<WorkerMessage, { type: 'answer' }>): void;
  workerGone(worker: WorkerId): void;
}

export function createAsks(): Asks {
  const waiting = new Map<number, Question>();
  let lastId = 0;

  const settle = (id: number, outcome: (question: Question) => void): void => {
    const question = waiting.get(id);
    if (question === undefined) return;
    waiting.delete(id);
    clearTimeout(question.timer);
    outcome(question);
  };

  return {
    ask: (worker, timeoutMs, send) =>
      new Promise((resolve, reject) => {
        if (waiting.size >= WAITING_MAX) {
          reject(new Error('too many health checks at once'));
          return;
        }
        lastId += 1;
        const id = lastId;
        const late = new Error('no worker answered in time');
        const timer = setTimeout(() => settle(id, ({ reject }) => reject(late)), timeoutMs);
        waiting.set(id, { worker, timer, resolve, reject });
        send(id);
      }),
    answered(worker, { id, status, kind, body }) {
      if (waiting.get(id)?.worker !== worker) return;
      settle(id, ({ resolve, reject }) => {
        if (status === null) reject(new Error(body));
        else resolve({ status, type: kind || 'text/plain', body });
      });
    },
    workerGone(worker) {
      for (const [id, question] of waiting) {
        if (question.worker !== worker) continue;
        settle(id, ({ reject }) => reject(new Error('the worker ended')));
      }
    },
  };
}

// --- internal ---

/** A blocked worker answers none: the questions to it pile up only until they time out. */
const WAITING_MAX = 64;

interface Question {
  readonly worker: WorkerId;
  readonly timer: NodeJS.Timeout;
  readonly resolve: (answer: AppAnswer) => void;
  readonly reject: (error: Error) => void;
}
