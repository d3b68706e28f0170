/**
 * A child of a php-cgi parent as a worker. All children accept on one socket, so each connection
 * begins with the question who took it, and belongs to the worker whose child that is.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Upstream } from '../types.ts';
import { askPid } from './child-pid.ts';
import { openConnection, type Connection } from './connection.ts';
import { serveOver, type FastCgiOptions } from './upstream.ts';

/**
 * One for each gateway: whose the children are, by pid. False = that worker has no use for a
 * connection.
 */
export type ChildBook = Map<number, (connection: Connection) => boolean>;

export interface ChildOptions {
  /** Absolute path of the file with PID_SCRIPT. */
  readonly pidScript: string;
  readonly book: ChildBook;
  /** The child that it was already, at another gateway; null = any that is nobody's. */
  readonly pid: number | null;
  /** Children that are not to be taken: another gateway's, or about to end. */
  readonly taken: readonly number[];
  /** It has a connection; again after each loss. */
  readonly onChild: (pid: number) => void;
  /** Its connection is closed. Its child may still run, or be gone. */
  readonly onLost: () => void;
  /** How long a connection may wait for a child to accept it and to answer. */
  readonly patienceMs?: number;
}

/**
 * `check` takes a child, or finds the same one again: a child stays its worker's for as long as
 * that is not destroyed, so no other is ever given the requests that it has left.
 */
export function createZygoteUpstream(options: FastCgiOptions, order: ChildOptions): Upstream {
  const { book, pidScript, patienceMs = PATIENCE_MS } = order;
  let { pid } = order;
  /** The connection to its child, and whether `serveOver` has it. */
  let own: Connection | null = null;
  let given: Connection | null = null;
  /** The one that is asked whose it is. */
  let asked: Connection | null = null;
  let isOpening = false;
  let isReleased = false;
  let isDestroyed = false;

  const isConnected = (): boolean => own?.isOpen === true;
  /** One that is let go takes a connection only to hear that it is done with its last request. */
  const isWanted = (): boolean => !isDestroyed && (!isReleased || isOpening) && !isConnected();

  function take(connection: Connection): boolean {
    if (pid === null || !isWanted()) return false;
    own = connection;
    connection.listen({
      onParts: () => connection.close('the worker spoke without being asked'),
      onClosed: () => undefined,
    });
    void connection.closed.then(order.onLost);
    order.onChild(pid);
    return true;
  }

  function claim(child: number): boolean {
    if (pid !== null || !isWanted() || order.taken.includes(child)) return false;
    pid = child;
    book.set(child, take);
    return true;
  }

  async function check(): Promise<boolean> {
    if (isConnected() || !isWanted()) return isConnected();
    const connection = await openConnection(options.socketPath).catch(() => null);
    if (connection === null) return false;
    asked = connection;
    const child = await askPid(connection, pidScript, patienceMs);
    asked = null;
    if (child === null) return false;
    if (!book.has(child)) claim(child);
    // It may well be the one that another worker looks for.
    if (book.get(child)?.(connection) !== true) connection.close('nobody wants this child');
    return isConnected();
  }

  async function open(): Promise<Connection> {
    isOpening = true;
    try {
      for (let pauseMs = FIRST_PAUSE_MS; !(await check()); pauseMs *= 2) {
        if (isDestroyed) throw new Error('the worker is gone');
        await sleep(Math.min(pauseMs, LAST_PAUSE_MS));
      }
      given = own;
      return own!;
    } finally {
      isOpening = false;
    }
  }

  if (pid !== null) book.set(pid, take);
  const inner = serveOver(options, open);
  return {
    forward: (visit, end) => inner.forward(visit, end),
    check,
    release() {
      isReleased = true;
      inner.release();
      if (own !== given) own?.close('released');
      if (!isOpening) asked?.close('released');
    },
    destroy() {
      isDestroyed = true;
      if (pid !== null && book.get(pid) === take) book.delete(pid);
      inner.destroy();
      own?.close('destroyed');
      asked?.close('destroyed');
    },
  };
}

// --- internal ---

/** php-cgi needs 6 ms from TERM to its end, and a fork less than that. */
const FIRST_PAUSE_MS = 5;
const LAST_PAUSE_MS = 250;

/** All may be busy; who waits in line for so long gets in line again. */
const PATIENCE_MS = 2_000;
