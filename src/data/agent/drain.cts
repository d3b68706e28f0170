/**
 * How a worker lets go. Sockets stop listening at the `net` level (`http.Server.close()` would
 * kill idle connections that have a request on its way). Idle plain HTTP/1.1 connections go to a
 * sibling; busy ones follow when they turn idle. What cannot be moved becomes a lame duck: its
 * next response says `Connection: close`. An idle lame duck is not closed by us before the
 * deadline: its keep-alive timeout, which its client knows, ends it, so that no request can cross
 * with the close.
 */
import type { ServerResponse } from 'node:http';
import { performance } from 'node:perf_hooks';
import type { DrainResult } from '../../protocol.ts' with { 'resolution-mode': 'import' };
import {
  type Connection,
  connections,
  countLongLived,
  hooks,
  isLongStream,
} from './connections.cts';
import { findIdle, findQuiet, handOver, isMovableKind } from './handover.cts';
import { endSession } from './http2.cts';
import { type Listener, listeners } from './listen.cts';

export interface DrainOrder {
  readonly deadlineMs: number;
  readonly longDeadlineMs: number;
  /** Whether idle connections may go to a sibling. */
  readonly handover: boolean;
  /** No worker comes after this one: idle connections are closed soon instead of lingering. */
  readonly final: boolean;
}

export function isDraining(): boolean {
  return drain !== null;
}

/** Nothing is left here, and the supervisor knows: what comes now would be lost. */
export function isDrained(): boolean {
  return drain?.done === true;
}

/**
 * Starts to let go; `drained` is called once, when no connection is left. A second order (the pool
 * stops, or the supervisor died, during the first) replaces `drained`, can only forbid the
 * hand-over, and lets idle connections end sooner; the deadlines stay those of the first.
 */
export function startDrain(order: DrainOrder, drained: (result: DrainResult) => void): void {
  const { deadlineMs, longDeadlineMs, handover, final } = order;
  if (drain !== null) {
    drain.drained = drained;
    drain.handover &&= handover;
    if (final) drain.idleUntil = Math.min(drain.idleUntil, performance.now() + FINAL_IDLE_MS);
    if (drain.done) drained(drain.result);
    return;
  }
  drain = {
    handover,
    moving: 0,
    impatientAt: performance.now() + deadlineMs * PATIENCE,
    idleUntil: final ? performance.now() + FINAL_IDLE_MS : Infinity,
    result: { moved: 0, cutRequests: 0, cutLongLived: 0 },
    drained,
    done: false,
    // Keeps the process until the last handle is sent, too.
    timer: setInterval(sweep, SWEEP_INTERVAL_MS),
    sweepQueued: false,
    restUntil: 0,
  };
  hooks.started = markNewest;
  hooks.finished = sweepSoon;
  hooks.session = endSession;
  // Long-lived connections are the app's own business: it is told before anything happens.
  tellApp({ deadlineMs, longDeadlineMs });
  for (const listener of listeners.values()) stopListening(listener);
  for (const { session } of connections) if (session !== null) endSession(session);
  sweep();
}

/**
 * Stops accepting, and leaves every connection as it is. Only the handle closes: for the app its
 * server runs until the app itself closes it, which at SIGTERM most apps do, and then without an
 * ERR_SERVER_NOT_RUNNING.
 */
export function stopListening({ handle }: Listener): void {
  handle.close();
}

/** Once. A fault in the app's farewell must not end requests that it has nothing to do with. */
export function tellApp(details: { deadlineMs: number; longDeadlineMs: number }): void {
  if (isTold) return;
  isTold = true;
  const emit = process.emit.bind(process) as (event: string, details: object) => boolean;
  try {
    emit('cofferdam:drain', details);
  } catch (error) {
    console.error("The app's listener of 'cofferdam:drain' failed:", error);
  }
}

/** Ends what is left: everything that is not long-lived, or all. */
export function cut(scope: 'requests' | 'all'): void {
  if (drain === null) return;
  drain.handover = false;
  for (const connection of connections) {
    if (connection.session !== null) cutSession(connection, scope, drain.result);
    else cutSocket(connection, scope, drain.result);
  }
}

// --- internal ---

/** A connection turns idle without an event when a late request body ends: look this often. */
const SWEEP_INTERVAL_MS = 50;

/** Share of the deadline after which a movable connection that is never idle is asked to close. */
const PATIENCE = 0.5;

/**
 * Node sends one handle at a time and a connection on its way is not served: with more at once
 * the clients at the end of the queue would feel it (32 take about 10 ms).
 */
const MOVES_AT_ONCE = 32;

/**
 * With thousands of connections a look at all of them takes milliseconds, so there is a pause after
 * it, and in the meantime more may be on their way.
 */
const MOVES_AT_ONCE_MAX = 256;
const CONNECTIONS_PER_MOVE = 32;

/** How much longer than a look the pause after it is: looks take a tenth of the time at most. */
const PAUSE_PER_LOOK = 9;

/**
 * When the whole pool stops, a request that was under way has arrived after so long; what is sent
 * later would find nobody anyway, and a person who pressed Ctrl-C waits.
 */
const FINAL_IDLE_MS = 1000;

/** Between our FIN and the close of a connection that is cut. */
const CUT_GRACE_MS = 200;

/** HTTP/2's code for "it was not your fault, and it may have been processed". */
const INTERNAL_ERROR = 2;

type Tally = { -readonly [K in keyof DrainResult]: DrainResult[K] };

interface Drain {
  handover: boolean;
  /** Handles on their way. */
  moving: number;
  readonly impatientAt: number;
  /** From then on idle connections are closed. */
  idleUntil: number;
  readonly result: Tally;
  drained: (result: DrainResult) => void;
  done: boolean;
  readonly timer: NodeJS.Timeout;
  sweepQueued: boolean;
  /** No look at all connections before. */
  restUntil: number;
}

let drain: Drain | null = null;

let isTold = false;

function sweepSoon(): void {
  if (drain === null || drain.sweepQueued) return;
  drain.sweepQueued = true;
  const look = (): void => {
    if (drain !== null) drain.sweepQueued = false;
    sweep();
  };
  const pauseMs = drain.restUntil - performance.now();
  // The last connection has gone: that takes no look.
  if (pauseMs < 1 || connections.size === 0) setImmediate(look);
  else setTimeout(look, pauseMs);
}

function sweep(): void {
  if (drain === null || drain.done) return;
  const startedAt = performance.now();
  if (drain.handover) for (const { server } of listeners.values()) moveIdle(server, drain);
  const impatient = performance.now() >= drain.impatientAt;
  for (const connection of connections) {
    if (connection.lame || connection.moving) continue;
    if (impatient || !drain.handover || !isMovableKind(connection)) makeLame(connection);
  }
  if (performance.now() >= drain.idleUntil) closeIdle();
  drain.restUntil = performance.now() + PAUSE_PER_LOOK * (performance.now() - startedAt);
  if (connections.size > 0) return;
  drain.done = true;
  waitForSignal(drain.timer);
  drain.drained(drain.result);
}

/** An app that tidies up at SIGTERM shall get it, even if nothing else keeps its process alive. */
function waitForSignal(timer: NodeJS.Timeout): void {
  if (process.listenerCount('SIGTERM') === 0) clearInterval(timer);
  else process.prependOnceListener('SIGTERM', () => clearInterval(timer));
}

function moveIdle(server: Parameters<typeof findIdle>[0], drain: Drain): void {
  const wanted = connections.size / CONNECTIONS_PER_MOVE;
  const most = Math.max(MOVES_AT_ONCE, Math.min(MOVES_AT_ONCE_MAX, wanted));
  if (drain.moving >= most) return;
  const isIdle = findIdle(server);
  for (const connection of connections) {
    if (drain.moving >= most) return;
    if (connection.listener?.server !== server || !isIdle(connection)) continue;
    drain.moving++;
    handOver(connection, (moved) => {
      drain.moving--;
      if (moved) drain.result.moved++;
      // The supervisor cannot take this one: it would not take the others either.
      else drain.handover = false;
      sweepSoon();
    });
  }
}

function closeIdle(): void {
  for (const { server } of listeners.values()) {
    const isQuiet = findQuiet(server);
    for (const connection of connections) {
      if (connection.listener?.server !== server || !isQuiet(connection)) continue;
      connection.socket.end();
      setTimeout(() => connection.socket.destroy(), CUT_GRACE_MS);
    }
  }
}

function makeLame(connection: Connection): void {
  connection.lame = true;
  const { response } = connection;
  if (response !== null && !response.headersSent) response.shouldKeepAlive = false;
}

/** On a lame connection the newest response is the last: pipelined ones before it must go out. */
function markNewest(connection: Connection, previous: ServerResponse | null): void {
  const { lame, response } = connection;
  if (!lame || response === null || !response.shouldKeepAlive) return;
  if (previous !== null && !previous.headersSent) previous.shouldKeepAlive = true;
  response.shouldKeepAlive = false;
}

function cutSocket(connection: Connection, scope: 'requests' | 'all', tally: Tally): void {
  const { socket, response, inFlight } = connection;
  const long = countLongLived(connection);
  if (long > 0 && scope === 'requests') return;
  // What has an end already, by an earlier cut or its own, was counted or is complete.
  if (!socket.writableEnded) {
    if (long > 0) tally.cutLongLived += long;
    else tally.cutRequests += inFlight;
    // An event stream gets the end of its last chunk, everything else a plain FIN.
    if (long > 0 && response !== null) response.end();
    socket.end();
  }
  setTimeout(() => socket.destroy(), CUT_GRACE_MS);
}

function cutSession(connection: Connection, scope: 'requests' | 'all', tally: Tally): void {
  let left = 0;
  for (const stream of connection.streams) {
    if (stream.closed) continue;
    const long = isLongStream(stream);
    if (long && scope === 'requests') {
      left++;
      continue;
    }
    if (long) tally.cutLongLived++;
    else tally.cutRequests++;
    stream.close(INTERNAL_ERROR);
  }
  if (left === 0) setTimeout(() => connection.session?.destroy(), CUT_GRACE_MS);
}
