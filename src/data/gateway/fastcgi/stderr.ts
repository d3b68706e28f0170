/** What a script says on STDERR, message by message, in bounded memory. */

/** A message longer than this is cut: a stack trace fits. */
export const MESSAGE_MAX_BYTES = 8 * 1024;

/** One request may not fill the log: what it says beyond this is counted and not told. */
export const REQUEST_MAX_BYTES = 64 * 1024;

export interface StderrReader {
  /** A piece of a STDERR record; a record is one message. */
  push(content: Buffer, isLast: boolean): void;
  /** Tells what is left, and how much was dropped. */
  end(): void;
}

/** `tell` gets each message without its line end, as UTF-8. */
export function createStderrReader(tell: (message: string) => void): StderrReader {
  let held: Buffer[] = [];
  let heldBytes = 0;
  let toldBytes = 0;
  let droppedBytes = 0;

  function tellHeld(): void {
    if (heldBytes === 0) return;
    const message = Buffer.concat(held).toString('utf8').trimEnd();
    held = [];
    toldBytes += heldBytes;
    heldBytes = 0;
    if (message !== '') tell(message);
  }

  return {
    push(content, isLast) {
      const room = Math.min(
        MESSAGE_MAX_BYTES - heldBytes,
        REQUEST_MAX_BYTES - toldBytes - heldBytes,
      );
      const kept = content.subarray(0, Math.max(0, room));
      droppedBytes += content.length - kept.length;
      if (kept.length > 0) held.push(kept);
      heldBytes += kept.length;
      if (isLast) tellHeld();
    },
    end() {
      tellHeld();
      if (droppedBytes > 0) tell(`… and ${droppedBytes} more bytes on STDERR`);
    },
  };
}
