/**
 * The agent: loaded with `--require` before the first line of an unmodified app, in the app's own
 * process. It listens on sockets of the supervisor, counts, and lets go of connections without
 * losing one. Without a brief in the environment it does nothing.
 */
import type { WorkerBrief } from '../../protocol.ts' with { 'resolution-mode': 'import' };
import { open, send } from './channel.cts';
import { countRequests, followServer, watchRequests } from './connections.cts';
import { cut, isDraining, startDrain, stopListening } from './drain.cts';
import { adopt } from './handover.cts';
import type { RawHandle } from './internals.cts';
import { type Listener, watchListen } from './listen.cts';
import { startReports } from './report.cts';
import { warmUp } from './warmup.cts';

type Received = Parameters<Parameters<typeof open>[0]>[0];

const brief = takeBrief();
if (brief !== null) start(brief);

// --- internal ---

function takeBrief(): WorkerBrief | null {
  const text = process.env['COFFERDAM_WORKER'];
  delete process.env['COFFERDAM_WORKER'];
  // A thread has no channel: one that another preload started early gets here with our variable.
  if (text === undefined || process.send === undefined) return null;
  return JSON.parse(text) as WorkerBrief;
}

function start(brief: WorkerBrief): void {
  hideFromChildren();
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
  if (brief.requestLimit > 0) watchRequests(brief.requestLimit, report);
  watchListen(brief, followServer, (listener) => {
    if (isDraining()) stopListening(listener.server);
    else warmUpOnce(listener, brief.warmupPath);
  });
}

let warm = false;

function warmUpOnce(listener: Listener, path: string | null): void {
  if (path === null || warm || listener.scheme === 'tcp') return;
  warm = true;
  warmUp(listener, path);
}

/** The app's own forks and threads inherit `execArgv`: they are not workers. */
function hideFromChildren(): void {
  const { execArgv } = process;
  for (let i = 0; i < execArgv.length; i++) {
    const [flag, path] = [execArgv[i], execArgv[i + 1]];
    if ((flag === '--require' || flag === '-r') && path === __filename) execArgv.splice(i--, 2);
  }
}

function receive(
  message: Received,
  handle: RawHandle | undefined,
  brief: WorkerBrief,
  report: () => void,
): void {
  switch (message.type) {
    case 'drain': {
      const { deadlineMs, longDeadlineMs, handover } = message;
      const order = { deadlineMs, longDeadlineMs, handover: handover && brief.handover };
      startDrain(order, (result) => {
        report();
        send({ type: 'drained', result });
      });
      break;
    }
    case 'cut':
      cut(message.scope);
      break;
    case 'adopt': {
      const { key, id } = message;
      if (isDraining()) handle?.close();
      const ok = handle !== undefined && !isDraining() && adopt(key, handle);
      send({ type: 'adopted', id, ok });
      break;
    }
  }
}

/** The supervisor is gone: whoever goes on listening would serve old code for ever. */
function leave(graceMs: number): void {
  const order = { deadlineMs: graceMs, longDeadlineMs: graceMs, handover: false };
  startDrain(order, () => process.exit(0));
  setTimeout(() => process.exit(0), graceMs);
}
