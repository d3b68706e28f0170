/**
 * FastCGI records: what goes to the application, as bytes. Pure; the way back is in
 * record-decoder.ts.
 *
 * Text is a *binary string* everywhere: one character is one byte. That is how Node gives header
 * values, and the only way in which every byte of a path or a header arrives as it was sent.
 */

/** Types of records. */
export const RECORD = {
  begin: 1,
  end: 3,
  params: 4,
  stdin: 5,
  stdout: 6,
  stderr: 7,
  getValues: 9,
  getValuesResult: 10,
} as const;

/** Answers of END_REQUEST to "did you take it?". */
export const PROTOCOL_STATUS = { complete: 0, cannotMultiplex: 1, overloaded: 2, role: 3 } as const;

export const VERSION = 1;

export const HEADER_BYTES = 8;

/** The length is a 16-bit number. */
export const CONTENT_MAX_BYTES = 65_535;

/** Full body records end on a multiple of 8, where the next header is aligned. */
export const STDIN_CHUNK_BYTES = 65_528;

/** We never multiplex (nor does anybody), so every request has the same number. */
export const REQUEST_ID = 1;

/**
 * BEGIN_REQUEST, all PARAMS with their terminator and, without a body, the end of STDIN: one
 * buffer, one write. Null when a pair does not fit: php reads each PARAMS record by itself and
 * resets the connection when a pair straddles two, so a pair is at most one record long.
 */
export function encodeHead(
  variables: ReadonlyMap<string, string>,
  { keep, hasBody }: { readonly keep: boolean; readonly hasBody: boolean },
): Buffer | null {
  const records = groupPairs(variables);
  if (records === null) return null;
  const paramsBytes = records.reduce((sum, { bytes }) => sum + HEADER_BYTES + bytes, 0);
  const tail = hasBody ? HEADER_BYTES : 2 * HEADER_BYTES;
  const buffer = Buffer.allocUnsafe(HEADER_BYTES + BEGIN_BYTES + paramsBytes + tail);
  let at = writeHeader(buffer, 0, RECORD.begin, BEGIN_BYTES);
  buffer.fill(0, at, at + BEGIN_BYTES);
  buffer[at + 1] = ROLE_RESPONDER;
  buffer[at + 2] = keep ? FLAG_KEEP_CONN : 0;
  at += BEGIN_BYTES;
  for (const { pairs, bytes } of records) {
    at = writeHeader(buffer, at, RECORD.params, bytes);
    for (const [name, value] of pairs) at = writePair(buffer, at, name, value);
  }
  at = writeHeader(buffer, at, RECORD.params, 0);
  if (!hasBody) writeHeader(buffer, at, RECORD.stdin, 0);
  return buffer;
}

/** Pieces of the body as STDIN records, full ones but for the last; nothing is copied. */
export function encodeBody(pieces: readonly Buffer[]): Buffer[] {
  const parts: Buffer[] = [];
  let left = pieces.reduce((sum, piece) => sum + piece.length, 0);
  let room = 0;
  for (const piece of pieces) {
    for (let at = 0; at < piece.length;) {
      if (room === 0) {
        room = Math.min(left, STDIN_CHUNK_BYTES);
        parts.push(header(RECORD.stdin, room));
      }
      const content = piece.subarray(at, at + room);
      parts.push(content);
      at += content.length;
      room -= content.length;
      left -= content.length;
    }
  }
  return parts;
}

/** The end of the body. */
export function encodeBodyEnd(): Buffer {
  return header(RECORD.stdin, 0);
}

/**
 * Asks the application how many connections it takes. The answer does not interest us, that there
 * is one does: a worker that answers has no request.
 */
export function encodeQuestion(): Buffer {
  const name = 'FCGI_MPXS_CONNS';
  const buffer = Buffer.allocUnsafe(HEADER_BYTES + pairBytes(name, ''));
  writeHeader(buffer, 0, RECORD.getValues, buffer.length - HEADER_BYTES);
  // Management records belong to no request.
  buffer.writeUInt16BE(0, 2);
  writePair(buffer, HEADER_BYTES, name, '');
  return buffer;
}

// --- internal ---

const BEGIN_BYTES = 8;
const ROLE_RESPONDER = 1;
const FLAG_KEEP_CONN = 1;

/** Longer lengths take four bytes, the first with its top bit set. */
const SHORT_LENGTH_MAX = 127;

interface PairRecord {
  readonly pairs: (readonly [string, string])[];
  bytes: number;
}

function groupPairs(variables: ReadonlyMap<string, string>): PairRecord[] | null {
  const records: PairRecord[] = [];
  let current: PairRecord | null = null;
  for (const pair of variables) {
    const bytes = pairBytes(pair[0], pair[1]);
    if (bytes > CONTENT_MAX_BYTES) return null;
    if (current === null || current.bytes + bytes > CONTENT_MAX_BYTES) {
      current = { pairs: [], bytes: 0 };
      records.push(current);
    }
    current.pairs.push(pair);
    current.bytes += bytes;
  }
  return records;
}

function pairBytes(name: string, value: string): number {
  return lengthBytes(name.length) + lengthBytes(value.length) + name.length + value.length;
}

function lengthBytes(length: number): number {
  return length <= SHORT_LENGTH_MAX ? 1 : 4;
}

function writePair(buffer: Buffer, start: number, name: string, value: string): number {
  let at = writeLength(buffer, start, name.length);
  at = writeLength(buffer, at, value.length);
  at += buffer.write(name, at, 'latin1');
  return at + buffer.write(value, at, 'latin1');
}

function writeLength(buffer: Buffer, at: number, length: number): number {
  if (length <= SHORT_LENGTH_MAX) return buffer.writeUInt8(length, at);
  return buffer.writeUInt32BE(length + 0x8000_0000, at);
}

function header(type: number, contentBytes: number): Buffer {
  const buffer = Buffer.allocUnsafe(HEADER_BYTES);
  writeHeader(buffer, 0, type, contentBytes);
  return buffer;
}

function writeHeader(buffer: Buffer, at: number, type: number, contentBytes: number): number {
  buffer[at] = VERSION;
  buffer[at + 1] = type;
  buffer.writeUInt16BE(REQUEST_ID, at + 2);
  buffer.writeUInt16BE(contentBytes, at + 4);
  buffer[at + 6] = 0;
  buffer[at + 7] = 0;
  return at + HEADER_BYTES;
}
