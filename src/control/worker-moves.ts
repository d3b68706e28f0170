/**
 * The moves of a worker's life: what one event does in one state. Which move when: worker-state.
 */
import type { Effect, Policy } from './types.ts';
import type { Life, Worker, WorkerEvent, WorkerEventName, WorkerIn } from './worker.ts';

/**
 * After its connections were cut a worker is given so long to say `drained`: the message takes
 * milliseconds, and a worker that cannot send it will not do better in a minute.
 */
export const CUT_GRACE_MS = 1000;

/** What the pool must know of a transition, beyond the worker itself. */
export type News =
  | { readonly type: 'ready' }
  | { readonly type: 'boot_failed'; readonly detail: string; readonly retryAtOnce: boolean }
  /** Left, or cannot be led any more, without being asked to. */
  | {
      readonly type: 'crashed';
      /** It was on its way out: its replacement serves already. */
      readonly leaving: boolean;
      readonly code: number | null;
      readonly signal: string | null;
      readonly detail: string;
    }
  /** Its memory was read for the first time since it is ready. */
  | { readonly type: 'floor' };

export interface Transition {
  readonly worker: Worker;
  readonly effects: readonly Effect[];
  readonly news: News | null;
}

export interface Situation {
  readonly now: number;
  readonly policy: Policy;
}

export type Handler<W extends Worker, E extends WorkerEventName> = (
  worker: W,
  event: Extract<WorkerEvent, { type: E }>,
  situation: Situation,
) => Transition;

// In several states

export const learnPid: Handler<Worker, 'spawned'> = (worker, { pid }) => become(worker, { pid });

export const noteDrained: Handler<Worker, 'drained'> = (worker, { result }) =>
  become(worker, { drained: result });

/** One that boots may have read the old files already: its turn comes when it is ready. */
export const ask: Handler<Worker, 'ask'> = (worker) => become(worker, { asked: true });

export const leave: Handler<Worker, 'exited'> = (worker) => become(worker, { life: gone });

export const terminate = (
  worker: Worker,
  _event: unknown,
  { now, policy }: Situation,
  more: { change?: Partial<Worker>; news?: News } = {},
): Transition =>
  become(
    worker,
    { ...more.change, life: { state: 'stopping', deadline: now + policy.killTimeoutMs } },
    [{ type: 'signal', worker: worker.id, signal: 'SIGTERM' }],
    more.news ?? null,
  );

export const kill: Handler<Worker, 'kill'> = (worker, { why }) => killBecause(worker, why);

export const killLate: Handler<WorkerIn<'stopping'>, 'deadline'> = (worker, _event, { policy }) =>
  killBecause(worker, `did not leave within ${policy.killTimeoutMs / 1000}s after SIGTERM`);

// Booting

export const becomeReady: Handler<WorkerIn<'booting'>, 'ready'> = (worker, _event, situation) =>
  become(
    worker,
    {
      life: watched(situation),
      readyAt: situation.now,
      lastReportAt: situation.now,
      busyAt: situation.now,
    },
    [],
    { type: 'ready' },
  );

export const failToBoot: Handler<WorkerIn<'booting'>, 'boot_failed'> = (worker, event, situation) =>
  terminate(worker, event, situation, {
    news: { type: 'boot_failed', detail: event.message, retryAtOnce: event.retryAtOnce },
  });

export const dieInBoot: Handler<WorkerIn<'booting'>, 'exited'> = (worker, { detail }) =>
  become(worker, { life: gone }, [], { type: 'boot_failed', detail, retryAtOnce: false });

export const bootTooLong: Handler<WorkerIn<'booting'>, 'deadline'> = (worker, event, situation) => {
  const waitedMs = worker.life.deadline - worker.bornAt;
  const detail = `did not listen within ${waitedMs / 1000}s`;
  return terminate(worker, event, situation, {
    news: { type: 'boot_failed', detail, retryAtOnce: false },
  });
};

// Ready

export const crash: Handler<Worker, 'exited'> = (worker, { code, signal, detail }) =>
  become(worker, { life: gone }, [], {
    type: 'crashed',
    leaving: worker.drainingSince !== null,
    code,
    signal,
    detail,
  });

export const fallSilent: Handler<WorkerIn<'ready'>, 'deadline'> = (
  worker,
  _event,
  { now, policy },
) => {
  const { slot, pid } = worker;
  const watching = policy.unresponsiveTimeoutMs > 0;
  const silentMs = now - worker.lastReportAt;
  return become(
    worker,
    { life: { state: 'ready', deadline: null, silent: watching } },
    watching
      ? [{ type: 'tell', told: { event: 'unresponsive', slot, pid: pid ?? 0, silentMs } }]
      : [],
  );
};

export const startDrain: Handler<WorkerIn<'ready'>, 'drain'> = (worker, event, { now }) => {
  const { deadlineMs, longDeadlineMs, last } = event;
  return become(
    worker,
    {
      drainingSince: now,
      life: {
        state: 'draining',
        deadline: now + deadlineMs,
        longDeadline: now + Math.max(deadlineMs, longDeadlineMs),
        cut: false,
      },
    },
    [{ type: 'drain', worker: worker.id, deadlineMs, longDeadlineMs, last }],
  );
};

export const overrun: Handler<WorkerIn<'ready'>, 'overdue'> = (worker) =>
  become(worker, { overdue: true });

// Draining and lingering

export const finishDrain: Handler<Worker, 'drained'> = (worker, event, situation) =>
  terminate(worker, event, situation, { change: { drained: event.result } });

export const exitWhileLeaving: Handler<Worker, 'exited'> = (worker, event, situation) =>
  // With its servers closed an app has nothing to live for: exit code 0 is how many of them finish.
  event.code === 0
    ? become(worker, { life: gone, drained: worker.drained ?? NOTHING_CUT })
    : crash(worker, event, situation);

export const reportDraining: Handler<WorkerIn<'draining'>, 'report'> = (
  worker,
  { report },
  { now },
) => {
  const { cut, longDeadline } = worker.life;
  // The report before the deadline did not know of a connection that was upgraded since.
  const life: Life =
    cut && report.longLived > 0 && longDeadline > now
      ? { state: 'lingering', deadline: longDeadline, cut: false }
      : worker.life;
  return become(worker, { report, lastReportAt: now, life });
};

export const drainTooLong: Handler<WorkerIn<'draining'>, 'deadline'> = (
  worker,
  event,
  situation,
) => {
  const { now, policy } = situation;
  const { cut, longDeadline } = worker.life;
  if (cut) return terminate(worker, event, situation);
  const { inFlight, longLived } = worker.report;
  const over = longDeadline <= now;
  const lingers = longLived > 0 && !over;
  const deadline = lingers ? longDeadline : now + graceMs(policy);
  return become(
    worker,
    {
      life: lingers
        ? { state: 'lingering', deadline, cut: false }
        : { state: 'draining', deadline, longDeadline, cut: true },
    },
    [
      { type: 'cut', worker: worker.id, scope: over ? 'all' : 'requests' },
      {
        type: 'tell',
        told: { event: 'drain_deadline', slot: worker.slot, inFlight, longLived },
      },
    ],
  );
};

export const lingerTooLong: Handler<WorkerIn<'lingering'>, 'deadline'> = (
  worker,
  event,
  situation,
) => {
  if (worker.life.cut) return terminate(worker, event, situation);
  const { inFlight, longLived } = worker.report;
  return become(
    worker,
    {
      life: { state: 'lingering', deadline: situation.now + graceMs(situation.policy), cut: true },
    },
    [
      { type: 'cut', worker: worker.id, scope: 'all' },
      {
        type: 'tell',
        told: { event: 'drain_deadline', slot: worker.slot, inFlight, longLived },
      },
    ],
  );
};

export const hurryDrain: Handler<WorkerIn<'draining'>, 'drain'> = (worker, event, { now }) => {
  const { life } = worker;
  const deadline = Math.min(life.deadline, now + event.deadlineMs);
  const longDeadline = Math.min(life.longDeadline, now + event.longDeadlineMs);
  return become(worker, { life: { ...life, deadline, longDeadline } });
};

export const hurryLinger: Handler<WorkerIn<'lingering'>, 'drain'> = (worker, event, { now }) => {
  const deadline = Math.min(worker.life.deadline, now + event.longDeadlineMs);
  return become(worker, { life: { ...worker.life, deadline } });
};

export const hurryKill: Handler<WorkerIn<'stopping'>, 'terminate'> = (
  worker,
  _event,
  { now, policy },
) => {
  const deadline = Math.min(worker.life.deadline, now + policy.killTimeoutMs);
  return become(worker, { life: { state: 'stopping', deadline } });
};

// --- internal ---

const gone: Life = { state: 'gone' };

const NOTHING_CUT = { moved: 0, cutRequests: 0, cutLongLived: 0 };

export function become(
  worker: Worker,
  change: Partial<Worker>,
  effects: readonly Effect[] = [],
  news: News | null = null,
): Transition {
  return { worker: { ...worker, ...change }, effects, news };
}

function killBecause(worker: Worker, why: string): Transition {
  const { id, slot, pid } = worker;
  return become(worker, { life: { state: 'killing' }, killed: true }, [
    { type: 'signal', worker: id, signal: 'SIGKILL' },
    { type: 'tell', told: { event: 'worker_killed', slot, pid: pid ?? 0, why } },
  ]);
}

export function watched({ now, policy }: Situation): Life {
  const timeoutMs = policy.unresponsiveTimeoutMs;
  return { state: 'ready', deadline: timeoutMs === 0 ? null : now + timeoutMs, silent: false };
}

/** Never longer than the kill timeout, so that a stop ends by drain + 2 × kill timeout. */
function graceMs(policy: Policy): number {
  return Math.min(CUT_GRACE_MS, policy.killTimeoutMs);
}
