/**
 * How a worker lets go. Sockets stop listening at the `net` level (`http.Server.close()` would kill
 * idle connections that have a request on its way). Idle plain HTTP/1.1 connections go to a sibling;
 * busy ones follow when they turn idle. What cannot be moved becomes a lame duck: its next response
 * says `Connection: close`. An idle lame duck is never closed by us before the deadline: its
 * keep-alive timeout, which the client knows, ends it, so no request can cross with the close.
 */
import type { ServerResponse } from 'node:http';
import { Server } from 'node:net';
import type { DrainResult } from '../../protocol.ts' with { 'resolution-mode': 'import' };
import { type Connection, connections, hooks, isLongLived } from './connections.cts';
import { findIdle, handOver, isMovableKind } from './handover.cts';
import { endSession } from './http2.cts';
import { listeners } from './listen.cts';

/** A connection turns idle without an event when a late request body ends: look this often. */
const SWEEP_INTERVAL_MS = 50;

/** Share of the deadline after which a movable connection that is never idle is asked to close. */
const PATIENCE = 0.5;

/** Between our FIN and the close of a connection that is cut. */
const CUT_GRACE_MS = 200;

export interface DrainOrder {
  readonly deadlineMs: number;
  readonly longDeadlineMs: number;
  /** Whether idle connections may go to a sibling. */
  readonly handover: boolean;
}

export function isDraining(): boolean {
  return drain !== null;
}

/** Starts to let go; `drained` is called once, when no connection is left. */
export function startDrain(order: DrainOrder, drained: (result: DrainResult) => void): void {
  if (drain !== null) return;
  const { deadlineMs, longDeadlineMs } = order;
  drain = {
    handover: order.handover,
    impatientAt: Date.now() + deadlineMs * PATIENCE,
    result: { moved: 0, refusedStreams: 0, cutRequests: 0, cutLongLived: 0 },
    drained,
    // Holds the process until the last handle is sent, too.
    timer: setInterval(sweep, SWEEP_INTERVAL_MS),
    sweepQueued: false,
  };
  hooks.started = onStarted;
  hooks.finished = sweepSoon;
  hooks.closed = sweepSoon;
  hooks.opened = onOpened;
  // The app's long-lived connections are its own business: it is told before anything happens.
  process.emit('cofferdam:drain' as 'SIGTERM', { deadlineMs, longDeadlineMs } as never);
  for (const { server } of listeners.values()) Server.prototype.close.call(server);
  for (const connection of connections) onOpened(connection);
  sweep();
}

/** Ends what is left: everything that is not long-lived, or all. */
export function cut(scope: 'requests' | 'all'): void {
  if (drain === null) return;
  drain.handover = false;
  for (const connection of connections) {
    const long = isLongLived(connection);
    if (long && scope === 'requests') continue;
    if (long) drain.result.cutLongLived++;
    else drain.result.cutRequests += connection.inFlight;
    cutConnection(connection);
  }
}

// --- internal ---

interface Drain {
  handover: boolean;
  readonly impatientAt: number;
  readonly result: { -readonly [K in keyof DrainResult]: DrainResult[K] };
  readonly drained: (result: DrainResult) => void;
  readonly timer: NodeJS.Timeout;
  sweepQueued: boolean;
}

let drain: Drain | null = null;

function sweepSoon(): void {
  if (drain === null || drain.sweepQueued) return;
  drain.sweepQueued = true;
  setImmediate(() => {
    if (drain !== null) drain.sweepQueued = false;
    sweep();
  });
}

function sweep(): void {
  if (drain === null) return;
  const impatient = Date.now() >= drain.impatientAt;
  if (drain.handover) for (const { server } of listeners.values()) moveIdle(server);
  for (const connection of connections) {
    if (!connection.lame && !connection.moving && (impatient || !canMove(connection))) {
      makeLame(connection);
    }
  }
  if (connections.size > 0) return;
  clearInterval(drain.timer);
  const { drained, result } = drain;
  drain = { ...drain, drained: () => undefined };
  drained(result);
}

function moveIdle(server: Parameters<typeof findIdle>[0]): void {
  const isIdle = findIdle(server);
  if (isIdle === null) return;
  for (const connection of connections) {
    if (connection.listener?.server !== server || connection.lame || !isIdle(connection)) continue;
    handOver(connection, (moved) => {
      if (drain === null) return;
      if (moved) drain.result.moved++;
      // The supervisor cannot take it: it will not take the others either.
      else drain.handover = false;
      sweepSoon();
    });
  }
}

function canMove(connection: Connection): boolean {
  return drain?.handover === true && isMovableKind(connection);
}

function makeLame(connection: Connection): void {
  connection.lame = true;
  const { response } = connection;
  if (response !== null && !response.headersSent) response.shouldKeepAlive = false;
}

function onOpened(connection: Connection): void {
  if (connection.session !== null) endSession(connection.session);
}

/** A request on a lame connection is its last one; with pipelining, the last that has come. */
function onStarted(connection: Connection, previous: ServerResponse | null): void {
  const { lame, response } = connection;
  if (!lame || response === null) return;
  if (previous !== null && !previous.headersSent && response.shouldKeepAlive) {
    previous.shouldKeepAlive = true;
  }
  response.shouldKeepAlive = false;
}

function cutConnection(connection: Connection): void {
  const { session, socket } = connection;
  if (session !== null) session.destroy();
  else socket.end();
  setTimeout(() => socket.destroy(), CUT_GRACE_MS);
}
