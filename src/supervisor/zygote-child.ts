/**
 * A worker that is a child of a zygote. It is no child of ours: that it is there the gateway says,
 * whose connection it holds, and that it is gone only its pid can tell.
 */
import { startTimeOf } from '../metrics/process-memory.ts';
import type { ProcessExit } from './child.ts';
import type { Birth } from './fleet.ts';
import type { PoolOrder } from './gateway-books.ts';
import type { GatewayLink } from './gateway-link.ts';
import type { WorkerListener, WorkerProcess } from './worker-process.ts';
import type { Tenant, Zygote } from './zygotes.ts';

export interface ChildHire {
  readonly zygote: Zygote;
  readonly link: GatewayLink;
  readonly order: PoolOrder;
}

export function hireChild(
  { zygote, link, order }: ChildHire,
  { slot, requestLimit: noticeAt }: Pick<Birth, 'slot' | 'requestLimit'>,
  listener: WorkerListener,
): WorkerProcess {
  let pid: number | undefined;
  let startedAt: number | null = null;
  let isConnected = false;
  let isDrained = false;
  /** TERM was asked for; it is sent when the connection is closed, for it is not heard before. */
  let isLeaving = false;
  let isKilled = false;
  let isOver = false;
  let timer: NodeJS.Timeout | undefined;

  const tenant: Tenant = {
    get pid() {
      return pid;
    },
    onParentExit: (exit) => end(pid === undefined ? exit : withParent(exit)),
  };
  const parent = zygote.enter(tenant);
  const upstream = link.add(
    { ...order, slot, noticeAt, address: { kind: 'unix', path: parent.socketPath } },
    (said) => {
      listener.onMessage(said, undefined);
      if (said.type !== 'drained') return;
      isDrained = true;
      // It never had a child that could be told to go.
      if (isLeaving && pid === undefined) end(LEFT);
    },
    { child: { pidScript: parent.pidScript, onChild, onLost } },
  );

  function onChild(found: number): void {
    if (isOver) return;
    isConnected = true;
    clearTimeout(timer);
    if (pid !== undefined) return;
    pid = found;
    startedAt = startTimeOf(found);
    listener.onPid?.(found);
  }

  function onLost(): void {
    isConnected = false;
    if (isLeaving) send('SIGTERM');
    look();
  }

  /** Is it gone? Asked until it is, or is connected again. */
  function look(pauseMs = FIRST_LOOK_MS): void {
    clearTimeout(timer);
    if (isOver || pid === undefined) return;
    if (!isThere(pid, startedAt)) return end(exitOf());
    if (isConnected && !isKilled) return;
    timer = setTimeout(() => look(Math.min(2 * pauseMs, LAST_LOOK_MS)), pauseMs);
  }

  function exitOf(): ProcessExit {
    if (isKilled) return KILLED;
    if (isLeaving) return LEFT;
    const how = parent.end();
    return how === null ? DIED : withParent({ ...how, spawnError: null });
  }

  function send(signal: 'SIGTERM' | 'SIGKILL'): void {
    if (isOver || pid === undefined || !isThere(pid, startedAt)) return;
    try {
      process.kill(pid, signal);
    } catch {
      // It ended between the two calls.
    }
  }

  function end(exit: ProcessExit): void {
    if (isOver) return;
    isOver = true;
    clearTimeout(timer);
    upstream.remove();
    zygote.leave(tenant);
    listener.onExit(exit);
  }

  return {
    get pid() {
      return pid;
    },
    stderrTail: parent.stderrTail,
    send: (message) => upstream.send(message),
    post: () => {},
    signal(signal) {
      if (signal === 'SIGKILL') {
        isKilled = true;
        if (pid === undefined) return end(KILLED);
        send(signal);
        return look();
      }
      isLeaving = true;
      if (!isDrained) {
        upstream.send({ ...LET_GO, type: 'drain' });
        upstream.send({ type: 'cut', scope: 'all' });
      }
      if (!isConnected) onLost();
    },
  };
}

// --- internal ---

/** From TERM to the end of an idle php-cgi it takes 6 ms. */
const FIRST_LOOK_MS = 5;
/** One that waits to be replaced, or works for nobody, may do so for long. */
const LAST_LOOK_MS = 250;

const LET_GO = { deadlineMs: 0, longDeadlineMs: 0, handover: false, final: false } as const;

const LEFT: ProcessExit = { code: 0, signal: null, spawnError: null };
const KILLED: ProcessExit = { code: null, signal: 'SIGKILL', spawnError: null };
const DIED: ProcessExit = {
  code: null,
  signal: null,
  spawnError: null,
  detail: 'ended by itself (how, its php-cgi parent does not tell)',
};

function withParent(exit: ProcessExit): ProcessExit {
  const how =
    exit.signal === null ? `which exited with code ${exit.code}` : `killed by ${exit.signal}`;
  return { ...exit, detail: `ended with its php-cgi parent, ${how}` };
}

/** Pids are reused: the moment of its birth makes it the same one. */
function isThere(pid: number, startedAt: number | null): boolean {
  try {
    process.kill(pid, 0);
  } catch {
    // ESRCH: what was asked.
    return false;
  }
  return startTimeOf(pid) === startedAt;
}
