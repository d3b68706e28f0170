/** HTTP/2 byte by byte, for what no client library would send. */

export const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');

export const FRAME = {
  data: 0,
  headers: 1,
  priority: 2,
  reset: 3,
  settings: 4,
  push: 5,
  ping: 6,
  goaway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const;

export const END_STREAM = 1;
export const END_HEADERS = 4;

export function frame(type: number, flags: number, stream: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length & 0xff_ff_ff, 0, 3);
  head[3] = type & 0xff;
  head[4] = flags & 0xff;
  head.writeUInt32BE(stream >>> 0, 5);
  return Buffer.concat([head, payload]);
}

/** Literals without index or Huffman: every byte as it is. */
export function headerBlock(fields: readonly (readonly [name: string, value: string])[]): Buffer {
  return Buffer.concat(
    fields.flatMap(([name, value]) => [Buffer.from([0]), literal(name), literal(value)]),
  );
}

export function requestBlock(method: string, path: string): Buffer {
  return headerBlock([
    [':method', method],
    [':scheme', 'https'],
    [':path', path],
    [':authority', 'a'],
  ]);
}

// --- internal ---

/** The largest length that fits into the prefix of a string literal (RFC 7541, 5.1). */
const PREFIX_MAX = 127;

function literal(text: string): Buffer {
  const bytes = Buffer.from(text, 'latin1');
  const length: number[] = [];
  if (bytes.length < PREFIX_MAX) length.push(bytes.length);
  else {
    length.push(PREFIX_MAX);
    let rest = bytes.length - PREFIX_MAX;
    for (; rest >= 128; rest = Math.floor(rest / 128)) length.push((rest % 128) + 128);
    length.push(rest);
  }
  return Buffer.concat([Buffer.from(length), bytes]);
}
