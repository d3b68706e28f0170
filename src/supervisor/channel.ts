/**
 * The IPC channel of a child, where what comes in can hurt us: Node parses it line by line, throws
 * at a line that is no JSON, and keeps a line in memory until it ends, however long it gets.
 */
import type { ChildProcess } from 'node:child_process';

/** An agent's messages have some KiB; an app's own ones are nobody's business, but end as well. */
const LINE_BYTES_MAX = 16 * 1024 * 1024;

const LINE_END = 0x0a;

/**
 * `broken` is called once: there was a line that is no message, or one that does not end. Nothing
 * is read from the channel after that; its process is to be ended.
 */
export function guardChannel(child: ChildProcess, broken: (detail: string) => void): void {
  const channel = findChannel(child);
  // A Node that has another channel: it works as ever, without this guard.
  if (channel === null) return;
  const { onread } = channel;
  let lineBytes = 0;
  let isBroken = false;
  const fail = (detail: string): void => {
    isBroken = true;
    channel.readStop();
    broken(detail);
  };
  channel.onread = function (this: unknown, bytes) {
    if (isBroken) return;
    if (bytes !== undefined) {
      const end = Buffer.from(bytes).lastIndexOf(LINE_END);
      lineBytes = end === -1 ? lineBytes + bytes.byteLength : bytes.byteLength - end - 1;
      if (lineBytes > LINE_BYTES_MAX) return fail('a message without end on the IPC channel');
    }
    try {
      onread.call(this, bytes);
    } catch {
      // The text of the error would be the worker's own bytes.
      fail('what is no message on the IPC channel');
    }
  };
}

// --- internal ---

function findChannel(child: ChildProcess): RawChannel | null {
  for (const symbol of Object.getOwnPropertySymbols(child)) {
    if (symbol.description !== 'kChannelHandle') continue;
    const channel = (child as unknown as Record<symbol, Partial<RawChannel> | undefined>)[symbol];
    return typeof channel?.onread === 'function' ? (channel as RawChannel) : null;
  }
  return null;
}

/** Node's own handle: its types know nothing of it. */
interface RawChannel {
  /** Undefined: the channel has ended. */
  onread: (this: unknown, bytes?: ArrayBuffer) => void;
  readStop: () => void;
}
