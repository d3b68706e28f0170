/** The life of a worker, wired: what the supervisor says, and what the agent does about it. */
import type { WorkerBrief } from '../../protocol.ts' with { 'resolution-mode': 'import' };
import { open, send } from './channel.cts';
import { countRequests, followServer, watchRequests } from './connections.cts';
import { cut, isDrained, isDraining, startDrain, stopListening, tellApp } from './drain.cts';
import { heal } from './heal.cts';
import { adopt } from './handover.cts';
import { askApp, warmUp } from './health.cts';
import type { RawHandle } from './internals.cts';
import { type Listener, watchListen } from './listen.cts';
import { startReports } from './report.cts';

type Received = Parameters<Parameters<typeof open>[0]>[0];

/** Begins the life of a worker. */
export function start(brief: WorkerBrief): void {
  const report = startReports(brief.reportIntervalMs);
  open(
    (message, handle) => {
      receive(message, handle, brief, report);
    },
    () => {
      leave(brief.orphanGraceMs);
    },
  );
  // Whether hand-over works is known per connection; on Windows it never does.
  const handover = brief.handover && process.platform !== 'win32';
  send({ type: 'hello', handover, node: process.version });
  countRequests();
  // A server that only seems to listen does not keep its process alive, as a listening one would.
  if (brief.accept === false) setInterval(() => undefined, FOREVER_MS);
  if (brief.requestLimit > 0) watchRequests(brief.requestLimit, report);
  watchListen(brief, followServer, (listener) => {
    if (isDraining()) stopListening(listener);
    else warmUpOnce(listener, brief.warmupPath);
  });
}

// --- internal ---

/** The longest time that Node's timers know. */
const FOREVER_MS = 2 ** 31 - 1;

let warm = false;

function warmUpOnce(listener: Listener, path: string | null): void {
  if (path === null || warm || listener.scheme === 'tcp') return;
  warm = true;
  warmUp(listener, path);
}

function receive(
  message: Received,
  handle: RawHandle | undefined,
  brief: WorkerBrief,
  report: () => void,
): void {
  switch (message.type) {
    case 'drain': {
      const { deadlineMs, longDeadlineMs, handover, final } = message;
      const order = { deadlineMs, longDeadlineMs, handover: handover && brief.handover, final };
      startDrain(order, (result) => {
        report();
        send({ type: 'drained', result });
      });
      break;
    }
    case 'cut':
      cut(message.scope);
      break;
    case 'ask':
      askApp(message, brief.accept === false);
      break;
    case 'leaving':
      tellApp({ deadlineMs: message.deadlineMs, longDeadlineMs: message.longDeadlineMs });
      break;
    case 'heal':
      if (!isDraining()) heal();
      break;
    case 'adopt': {
      const { id } = message;
      // While draining, too: when the whole pool stops there is nobody else.
      if (isDrained()) handle?.close();
      const ok = handle !== undefined && !isDrained() && adopt(handle, message);
      send({ type: 'adopted', id, ok });
      break;
    }
  }
}

/** The supervisor is gone: whoever goes on listening would serve old code for ever. */
function leave(graceMs: number): void {
  const order = { deadlineMs: graceMs, longDeadlineMs: graceMs, handover: false, final: true };
  startDrain(order, () => process.exit(0));
  setTimeout(() => process.exit(0), graceMs);
}
