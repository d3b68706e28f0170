/**
 * Where the log and the workers' stderr go: a disk that may be full, a terminal that may be gone.
 * Neither is a reason to end a server, so a write never throws; what is lost is counted.
 */
import type { Writable } from 'node:stream';

/** False: it has enough for now, or cannot take anything. */
export function writeTo(stream: Writable, chunk: string | Buffer, done?: Done): boolean {
  try {
    return stream.write(chunk, done);
  } catch (error) {
    // Files are written at once, and fail at once.
    done?.(error as Error);
    return true;
  }
}

/** Errors of a stream that nobody waits for are no end of the process. */
export function ignoreErrors(stream: Writable): void {
  stream.on('error', () => undefined);
}

export interface LineOutput {
  write(line: string): void;
}

/** Calls `onRoom` with the number of lines that were lost, as soon as one gets through again. */
export function createLineOutput(stream: Writable, onRoom: (lost: number) => void): LineOutput {
  let lost = 0;
  const done: Done = (error) => {
    if (error) {
      lost += 1;
      return;
    }
    if (lost === 0) return;
    const count = lost;
    lost = 0;
    onRoom(count);
  };
  return { write: (line) => void writeTo(stream, line, done) };
}

// --- internal ---

type Done = (error: Error | null | undefined) => void;
