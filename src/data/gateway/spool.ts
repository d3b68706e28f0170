/**
 * Where a body that is held back lies: in memory while it is small, in a file without a name when
 * it grows. The memory of all bodies together is bounded.
 */
import { mkdtemp, open, rm, type FileHandle } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';

export interface Spool {
  /** Null: taken. A promise: wait for it before the next chunk. */
  write(chunk: Buffer): Promise<void> | null;
  size(): number;
  /** All of it while it lies in memory; null once it lies in a file. */
  pieces(): readonly Buffer[] | null;
  /** From the beginning, as often as one likes. */
  read(): Readable;
  dispose(): void;
}

/** However many clients upload at once, their bodies take no more of our memory than this. */
export const HELD_MEMORY_BYTES = 64 * 1024 * 1024;

export function createSpool(aboveBytes: number): Spool {
  const chunks: Buffer[] = [];
  const readers = new Set<Readable>();
  let inMemory = 0;
  let size = 0;
  let file: FileHandle | null = null;

  const moveToFile = async (): Promise<void> => {
    file = await openNameless();
    const held = Buffer.concat(chunks.splice(0));
    heldBytes -= inMemory;
    inMemory = 0;
    await writeWhole(file, held);
  };
  return {
    write(chunk) {
      size += chunk.length;
      if (file !== null) return writeWhole(file, chunk);
      chunks.push(chunk);
      inMemory += chunk.length;
      heldBytes += chunk.length;
      return size > aboveBytes || heldBytes > HELD_MEMORY_BYTES ? moveToFile() : null;
    },
    size: () => size,
    pieces: () => (file === null ? chunks : null),
    read() {
      const reader =
        file === null
          ? Readable.from(chunks, { objectMode: false })
          : file.createReadStream({ autoClose: false, start: 0 });
      readers.add(reader);
      reader.once('close', () => readers.delete(reader));
      return reader;
    },
    dispose() {
      heldBytes -= inMemory;
      inMemory = 0;
      chunks.length = 0;
      // A handle closes when nobody reads from it any more; a bare descriptor would be used again.
      for (const reader of readers) reader.destroy();
      void file?.close().catch(() => undefined);
      file = null;
    },
  };
}

// --- internal ---

let heldBytes = 0;

/** A private folder for the moment in which the file has a name; nothing is left to clean up. */
async function openNameless(): Promise<FileHandle> {
  const folder = await mkdtemp(join(tmpdir(), 'cofferdam-body-'));
  try {
    return await open(join(folder, 'body'), 'wx+', 0o600);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function writeWhole(file: FileHandle, chunk: Buffer): Promise<void> {
  for (let from = 0; from < chunk.length;) {
    from += (await file.write(chunk, from, chunk.length - from)).bytesWritten;
  }
}
