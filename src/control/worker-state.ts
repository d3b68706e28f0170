/**
 * The life of a worker as a total table: state × event → the worker afterwards and the effects.
 * Every pair has an entry, `ignore` included; a pair without one does not compile.
 */
import { disconnect, disconnectInBoot } from './disconnect.ts';
import type { WorkerStateName } from './types.ts';
import * as move from './worker-moves.ts';
import * as numbers from './worker-numbers.ts';
import type { Handler, Situation, Transition } from './worker-moves.ts';
import type { Worker, WorkerEvent, WorkerEventName, WorkerIn } from './worker.ts';

export type Table = {
  readonly [S in WorkerStateName]: {
    readonly [E in WorkerEventName]: 'ignore' | Handler<WorkerIn<S>, E>;
  };
};

export const TABLE: Table = {
  booting: {
    spawned: move.learnPid,
    ready: move.becomeReady,
    boot_failed: move.failToBoot,
    exited: move.dieInBoot,
    disconnected: disconnectInBoot,
    report: numbers.noteReport,
    sample: numbers.noteMemory,
    drained: 'ignore',
    drain: move.terminate,
    terminate: move.terminate,
    kill: move.kill,
    ask: move.ask,
    overdue: 'ignore',
    deadline: move.bootTooLong,
  },
  ready: {
    spawned: move.learnPid,
    ready: 'ignore',
    boot_failed: 'ignore',
    exited: move.crash,
    disconnected: disconnect,
    report: numbers.reportReady,
    sample: numbers.sampleReady,
    drained: 'ignore',
    drain: move.startDrain,
    terminate: move.terminate,
    kill: move.kill,
    ask: move.ask,
    overdue: move.overrun,
    deadline: move.fallSilent,
  },
  draining: {
    spawned: move.learnPid,
    ready: 'ignore',
    boot_failed: 'ignore',
    exited: move.exitWhileLeaving,
    disconnected: 'ignore',
    report: move.reportDraining,
    sample: numbers.noteMemory,
    drained: move.finishDrain,
    drain: move.hurryDrain,
    terminate: move.terminate,
    kill: move.kill,
    ask: 'ignore',
    overdue: 'ignore',
    deadline: move.drainTooLong,
  },
  lingering: {
    spawned: move.learnPid,
    ready: 'ignore',
    boot_failed: 'ignore',
    exited: move.exitWhileLeaving,
    disconnected: 'ignore',
    report: numbers.noteReport,
    sample: numbers.noteMemory,
    drained: move.finishDrain,
    drain: move.hurryLinger,
    terminate: move.terminate,
    kill: move.kill,
    ask: 'ignore',
    overdue: 'ignore',
    deadline: move.lingerTooLong,
  },
  stopping: {
    spawned: move.learnPid,
    ready: 'ignore',
    boot_failed: 'ignore',
    exited: move.leave,
    disconnected: 'ignore',
    report: numbers.noteReport,
    sample: numbers.noteMemory,
    drained: move.noteDrained,
    drain: 'ignore',
    terminate: move.hurryKill,
    kill: move.kill,
    ask: 'ignore',
    overdue: 'ignore',
    deadline: move.killLate,
  },
  killing: {
    spawned: move.learnPid,
    ready: 'ignore',
    boot_failed: 'ignore',
    exited: move.leave,
    disconnected: 'ignore',
    report: 'ignore',
    sample: numbers.noteMemory,
    drained: 'ignore',
    drain: 'ignore',
    terminate: 'ignore',
    kill: 'ignore',
    ask: 'ignore',
    overdue: 'ignore',
    deadline: 'ignore',
  },
  gone: {
    spawned: 'ignore',
    ready: 'ignore',
    boot_failed: 'ignore',
    exited: 'ignore',
    disconnected: 'ignore',
    report: 'ignore',
    sample: 'ignore',
    drained: 'ignore',
    drain: 'ignore',
    terminate: 'ignore',
    kill: 'ignore',
    ask: 'ignore',
    overdue: 'ignore',
    deadline: 'ignore',
  },
};

/** What the event does to the worker; null = the table says `ignore`. */
export function transition(
  worker: Worker,
  event: WorkerEvent,
  situation: Situation,
): Transition | null {
  const entry = TABLE[worker.life.state][event.type];
  if (entry === 'ignore') return null;
  // The table's type ties handler, state and event together; a lookup by two variables loses that.
  return (entry as unknown as Handler<Worker, WorkerEventName>)(worker, event, situation);
}
