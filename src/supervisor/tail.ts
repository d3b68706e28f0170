/** The last lines of a stream, in bounded memory: what a worker said before it died. */

export interface Tail {
  push(chunk: Buffer): void;
  /** The last complete and incomplete lines, oldest first, empty ones left out. */
  lines(): string[];
}

/**
 * A V8 out-of-memory report with its stack traces is about 4 KiB; twice that keeps its first line.
 */
const TAIL_BYTES = 8192;

export function createTail(): Tail {
  let text = '';
  return {
    push(chunk) {
      text = (text + chunk.toString('latin1')).slice(-TAIL_BYTES);
    },
    lines() {
      return Buffer.from(text, 'latin1')
        .toString('utf8')
        .split('\n')
        .map((line) => line.trimEnd())
        .filter((line) => line !== '');
    },
  };
}
