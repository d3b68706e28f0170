/**
 * Takes a stream of FastCGI records apart, however its bytes are split. Contents are handed on as
 * they come, so it holds no more than one header and one short record.
 */
import { HEADER_BYTES, PROTOCOL_STATUS, RECORD, REQUEST_ID, VERSION } from './record.ts';

/** What an application says, record by record or in pieces of records. */
export type RecordPart =
  | { readonly type: 'stdout'; readonly content: Buffer }
  /** `isLast`: the record ends here, and with it the message. */
  | { readonly type: 'stderr'; readonly content: Buffer; readonly isLast: boolean }
  | { readonly type: 'end'; readonly appStatus: number; readonly isTaken: boolean }
  /** The answer to our question; the worker is free. */
  | { readonly type: 'free' };

/** The application does not speak FastCGI as we do: the connection is of no use any more. */
export class ProtocolError extends Error {
  override readonly name = 'ProtocolError';
}

export interface RecordDecoder {
  /** The parts that this chunk holds; throws a {@link ProtocolError} and nothing else. */
  decode(chunk: Buffer): RecordPart[];
}

export function createRecordDecoder(): RecordDecoder {
  const header = Buffer.alloc(HEADER_BYTES);
  const end = Buffer.alloc(END_BYTES);
  let state: 'header' | 'content' | 'padding' = 'header';
  let headerHeld = 0;
  let endHeld = 0;
  let contentLeft = 0;

  function takeHeader(chunk: Buffer, at: number): number {
    const taken = chunk.copy(header, headerHeld, at, at + HEADER_BYTES - headerHeld);
    headerHeld += taken;
    if (headerHeld < HEADER_BYTES) return taken;
    headerHeld = 0;
    endHeld = 0;
    contentLeft = header.readUInt16BE(4);
    checkHeader(header);
    state = 'content';
    return taken;
  }

  function takeContent(chunk: Buffer, at: number, parts: RecordPart[]): number {
    const content = chunk.subarray(at, at + contentLeft);
    contentLeft -= content.length;
    const isLast = contentLeft === 0;
    const type = header[1];
    if (type === RECORD.stdout && content.length > 0) parts.push({ type: 'stdout', content });
    if (type === RECORD.stderr && content.length > 0) {
      parts.push({ type: 'stderr', content, isLast });
    }
    if (type === RECORD.end) endHeld += content.copy(end, endHeld);
    if (isLast) {
      if (type === RECORD.end) parts.push(readEnd(end));
      if (type === RECORD.getValuesResult) parts.push({ type: 'free' });
      contentLeft = header[6] ?? 0;
      state = contentLeft > 0 ? 'padding' : 'header';
    }
    return content.length;
  }

  function takePadding(left: number): number {
    const taken = Math.min(contentLeft, left);
    contentLeft -= taken;
    if (contentLeft === 0) state = 'header';
    return taken;
  }

  return {
    decode(chunk) {
      const parts: RecordPart[] = [];
      // A record without content is over with its header, so it must not wait for more bytes.
      for (let at = 0; at < chunk.length || (state === 'content' && contentLeft === 0);) {
        if (state === 'header') at += takeHeader(chunk, at);
        else if (state === 'content') at += takeContent(chunk, at, parts);
        else at += takePadding(chunk.length - at);
      }
      return parts;
    },
  };
}

// --- internal ---

const END_BYTES = 8;

/** What an application may send to a responder's client; anything else means we lost the thread. */
const EXPECTED: ReadonlySet<number> = new Set([
  RECORD.stdout,
  RECORD.stderr,
  RECORD.end,
  RECORD.getValuesResult,
]);

function checkHeader(header: Buffer): void {
  const [version, type = 0] = header;
  const id = header.readUInt16BE(2);
  if (version !== VERSION) throw new ProtocolError(`FastCGI version ${version}`);
  if (!EXPECTED.has(type)) throw new ProtocolError(`FastCGI record of type ${type}`);
  const expectedId = type === RECORD.getValuesResult ? 0 : REQUEST_ID;
  if (id !== expectedId) throw new ProtocolError(`FastCGI record for request ${id}`);
  if (type === RECORD.end && header.readUInt16BE(4) !== END_BYTES) {
    throw new ProtocolError('FastCGI END_REQUEST of a wrong length');
  }
}

function readEnd(content: Buffer): RecordPart {
  const isTaken = content[4] === PROTOCOL_STATUS.complete;
  return { type: 'end', appStatus: content.readUInt32BE(0), isTaken };
}
