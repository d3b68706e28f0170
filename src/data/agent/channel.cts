/**
 * The IPC channel to the supervisor, as the agent uses it: never an unhandled error, never
 * visible.
 */
import type { EventEmitter } from 'node:events';
import type { MESSAGE_COMMAND, SupervisorMessage, WorkerMessage } from '../../protocol.ts' with {
  'resolution-mode': 'import',
};
import type { RawHandle } from './internals.cts';

/** `taken` is false when the handle did not arrive, so the connection is still ours. */
type Settled = (taken: boolean) => void;

/** Sends a message; what cannot be sent any more is dropped. */
export function send(message: WorkerMessage): void {
  deliver(message, undefined, ignore);
}

/**
 * Sends a message with a handle. `settled` is called once: when the supervisor has acknowledged the
 * handle, or when it is clear that it will not.
 */
export function sendHandle(message: WorkerMessage, handle: RawHandle, settled: Settled): void {
  const entry = { settled };
  // Node has one handle on the way at a time, and acknowledges them in order.
  unsettled.push(entry);
  deliver(message, handle, (error) => {
    if (error === null || !unsettled.includes(entry)) return;
    unsettled.splice(unsettled.indexOf(entry), 1);
    settled(false);
  });
}

/**
 * Opens the channel. `receive` gets each message with its handle (which it must close or use), and
 * `closed` is called once when the supervisor is gone.
 */
export function open(
  receive: (message: SupervisorMessage, handle: RawHandle | undefined) => void,
  closed: () => void,
): void {
  // Node types no 'internalMessage'.
  const emitter = process as unknown as EventEmitter;
  emitter.on('internalMessage', (message: { cmd?: unknown }, handle: RawHandle | undefined) => {
    if (message.cmd === COMMAND) receive(message as unknown as SupervisorMessage, handle);
    else if (message.cmd === 'NODE_HANDLE_ACK') unsettled.shift()?.settled(true);
    else if (message.cmd === 'NODE_HANDLE_NACK') unsettled.shift()?.settled(false);
  });
  process.once('disconnect', () => {
    for (const entry of unsettled.splice(0)) entry.settled(false);
    closed();
  });
  // A 'disconnect' listener makes Node keep the process alive for the channel: take that back, in
  // the counted way, so that the app's own `process.on('message')` works as ever.
  const channel = process.channel as unknown as { unrefCounted?: () => void } | undefined;
  channel?.unrefCounted?.();
}

// --- internal ---

const COMMAND = 'NODE_COFFERDAM' satisfies typeof MESSAGE_COMMAND;

const unsettled: { readonly settled: Settled }[] = [];

type RawSend = (
  message: unknown,
  handle: RawHandle | undefined,
  options: object,
  done: (error: Error | null) => void,
) => void;

// Taken before the app can replace it.
const rawSend = process.send?.bind(process) as unknown as RawSend | undefined;

function deliver(
  message: WorkerMessage,
  handle: RawHandle | undefined,
  done: (error: Error | null) => void,
): void {
  if (rawSend === undefined || !process.connected) {
    done(new Error('the supervisor is gone'));
    return;
  }
  try {
    // With a callback, Node reports a dead channel to it and not as an 'error' event.
    rawSend({ ...message, cmd: COMMAND }, handle, {}, done);
  } catch (error) {
    done(error instanceof Error ? error : new Error(String(error)));
  }
}

function ignore(): void {
  // The supervisor is gone; 'disconnect' follows and says so.
}
