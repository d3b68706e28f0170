import { describe, expect, test } from 'vitest';
import {
  createRecordDecoder,
  ProtocolError,
  type RecordPart,
} from '../../src/data/gateway/fastcgi/record-decoder.ts';
import {
  CONTENT_MAX_BYTES,
  encodeBody,
  encodeBodyEnd,
  encodeHead,
  RECORD,
} from '../../src/data/gateway/fastcgi/record.ts';
import { createDice, type Dice } from '../sim/dice.ts';

const SEED = Number(process.env['SEED'] ?? Date.now() % 1_000_000);
const ROUNDS = 300;

/** A record as an application may write it, with any padding. */
function record(type: number, content: Buffer, padding = 0, id = 1): Buffer {
  const header = Buffer.from([1, type, id >> 8, id & 255, 0, 0, padding, 0]);
  header.writeUInt16BE(content.length, 4);
  return Buffer.concat([header, content, Buffer.alloc(padding, 0xaa)]);
}

function endRecord(appStatus = 0, protocolStatus = 0, padding = 0): Buffer {
  const content = Buffer.alloc(8);
  content.writeUInt32BE(appStatus);
  content[4] = protocolStatus;
  return record(RECORD.end, content, padding);
}

function* split(bytes: Buffer, sizes: () => number): Generator<Buffer> {
  for (let at = 0; at < bytes.length;) {
    const size = Math.max(1, sizes());
    yield bytes.subarray(at, at + size);
    at += size;
  }
}

/** All that was said, stream by stream; order between the streams kept as it came. */
function decodeAll(chunks: Iterable<Buffer>): { out: string; err: string[]; ends: RecordPart[] } {
  const decoder = createRecordDecoder();
  const heard = { out: '', err: [] as string[], ends: [] as RecordPart[] };
  let message = '';
  for (const part of [...chunks].flatMap((chunk) => decoder.decode(chunk))) {
    if (part.type === 'stdout') heard.out += part.content.toString('latin1');
    if (part.type === 'stderr') {
      message += part.content.toString('latin1');
      if (part.isLast) heard.err.push(message);
      if (part.isLast) message = '';
    }
    if (part.type === 'end') heard.ends.push(part);
  }
  return heard;
}

describe('what comes from the application', () => {
  test.each([0, 1, 7, 8, 255])('padding of %i bytes is skipped, split at every byte', (padding) => {
    const bytes = Buffer.concat([
      record(RECORD.stdout, Buffer.from('one'), padding),
      record(RECORD.stderr, Buffer.from('oops'), padding),
      record(RECORD.stdout, Buffer.from('two'), padding),
      record(RECORD.stdout, Buffer.alloc(0), padding),
      endRecord(7, 0, padding),
    ]);
    const expected = {
      out: 'onetwo',
      err: ['oops'],
      ends: [{ type: 'end', appStatus: 7, isTaken: true }],
    };
    expect(decodeAll([bytes])).toEqual(expected);
    expect(decodeAll(split(bytes, () => 1))).toEqual(expected);
    for (let at = 1; at < bytes.length; at += 1) {
      expect(decodeAll([bytes.subarray(0, at), bytes.subarray(at)])).toEqual(expected);
    }
  });

  test('the largest record there is', () => {
    const content = Buffer.alloc(CONTENT_MAX_BYTES, 'x');
    const bytes = Buffer.concat([record(RECORD.stdout, content, 255), endRecord()]);
    expect(decodeAll([bytes]).out).toBe(content.toString());
    expect(decodeAll(split(bytes, () => 4096)).ends).toHaveLength(1);
  });

  test('an END without content after it is not waited for', () => {
    const parts = createRecordDecoder().decode(endRecord());
    expect(parts).toEqual([{ type: 'end', appStatus: 0, isTaken: true }]);
  });

  test('a refusal is told as one', () => {
    const [part] = createRecordDecoder().decode(endRecord(0, 2));
    expect(part).toMatchObject({ type: 'end', isTaken: false });
  });

  test.each([
    ['another version', Buffer.from([2, 6, 0, 1, 0, 0, 0, 0])],
    ['a type only servers send', Buffer.from([1, 4, 0, 1, 0, 0, 0, 0])],
    ['an unknown type', Buffer.from([1, 11, 0, 0, 0, 0, 0, 0])],
    ['another request', record(RECORD.stdout, Buffer.from('x'), 0, 2)],
    ['an END that is too short', record(RECORD.end, Buffer.alloc(4))],
  ])('%s is an error of the protocol', (_, bytes) => {
    expect(() => createRecordDecoder().decode(bytes)).toThrow(ProtocolError);
  });

  test(`any records, split anywhere (SEED=${SEED})`, () => {
    const random = createDice(SEED);
    for (let round = 0; round < ROUNDS; round += 1) {
      const bytes: Buffer[] = [];
      const expected = { out: '', err: [] as string[] };
      for (let count = random.whole(0, 7); count > 0; count -= 1) {
        const content = bytesOf(random, random.pick([0, 1, 10, 8184, 65_535]));
        const isError = random.whole(0, 3) === 0;
        bytes.push(record(isError ? RECORD.stderr : RECORD.stdout, content, random.whole(0, 255)));
        if (!isError) expected.out += content.toString('latin1');
        else if (content.length > 0) expected.err.push(content.toString('latin1'));
      }
      bytes.push(endRecord(random.whole(0, 999)));
      const size = random.pick([1, 3, 8, 100, 65_536]);
      const whole = Buffer.concat(bytes);
      const heard = decodeAll(
        split(whole, () =>
          size === 1 && whole.length < 10_000 ? 1 : random.whole(0, size * 20 - 1),
        ),
      );
      expect(heard.out === expected.out, `round ${round}`).toBe(true);
      expect(heard.err, `round ${round}`).toEqual(expected.err);
      expect(heard.ends).toHaveLength(1);
    }
  });

  test(`random bytes are answered by nothing but a protocol error (SEED=${SEED})`, () => {
    const random = createDice(SEED + 1);
    for (let round = 0; round < ROUNDS; round += 1) {
      const decoder = createRecordDecoder();
      // Half of them begin well, so that the fuzz reaches beyond the first header.
      if (round % 2 === 0)
        decoder.decode(record(RECORD.stdout, bytesOf(random, random.whole(0, 49))));
      let heardBytes = 0;
      try {
        for (let chunks = 0; chunks < 20; chunks += 1) {
          const bytes = mutate(
            random,
            record(random.whole(0, 12), bytesOf(random, random.whole(0, 299))),
          );
          for (const part of decoder.decode(bytes)) {
            if ('content' in part) heardBytes += part.content.length;
          }
        }
      } catch (error) {
        expect(error).toBeInstanceOf(ProtocolError);
      }
      // It never makes up bytes, nor keeps them back to grow.
      expect(heardBytes).toBeLessThanOrEqual(50 + 20 * 300);
    }
  });
});

/** Any bytes; a long run of them is made of few throws. */
function bytesOf(random: Dice, length: number): Buffer {
  const seed = Buffer.from(
    Array.from({ length: Math.min(length, 61) }, () => random.whole(0, 255)),
  );
  return length === 0 ? seed : Buffer.alloc(length, seed);
}

function mutate(random: Dice, bytes: Buffer): Buffer {
  if (random.whole(0, 1) === 0) bytes[random.whole(0, bytes.length - 1)] = random.whole(0, 255);
  return bytes.subarray(
    0,
    random.whole(0, 3) === 0 ? random.whole(0, bytes.length - 1) : bytes.length,
  );
}

/** What an application understands: each PARAMS record by itself, as php does. */
function readHead(bytes: Buffer): {
  types: number[];
  flags: number;
  variables: Map<string, string>;
} {
  const types: number[] = [];
  const variables = new Map<string, string>();
  let flags = -1;
  for (let at = 0; at < bytes.length;) {
    const length = bytes.readUInt16BE(at + 4);
    const type = bytes[at + 1] ?? 0;
    const content = bytes.subarray(at + 8, at + 8 + length);
    types.push(type);
    if (type === RECORD.begin) flags = content[2] ?? -1;
    if (type === RECORD.params) readPairs(content, variables);
    at += 8 + length + (bytes[at + 6] ?? 0);
  }
  return { types, flags, variables };
}

function readPairs(content: Buffer, variables: Map<string, string>): void {
  let at = 0;
  const length = (): number => {
    const first = content[at] ?? 0;
    const long = first > 127;
    const value = long ? content.readUInt32BE(at) - 0x8000_0000 : first;
    at += long ? 4 : 1;
    return value;
  };
  while (at < content.length) {
    const name = length();
    const value = length();
    variables.set(
      content.toString('latin1', at, at + name),
      content.toString('latin1', at + name, at + name + value),
    );
    at += name + value;
  }
  expect(at, 'a pair straddles two records').toBe(content.length);
}

describe('what goes to the application', () => {
  const options = { keep: true, hasBody: false };

  test('a request without a body is complete in one buffer', () => {
    const head = encodeHead(new Map([['A', 'b']]), options);
    expect(readHead(head ?? Buffer.alloc(0))).toEqual({
      types: [RECORD.begin, RECORD.params, RECORD.params, RECORD.stdin],
      flags: 1,
      variables: new Map([['A', 'b']]),
    });
  });

  test('the last request does not keep the connection', () => {
    const head = encodeHead(new Map(), { keep: false, hasBody: true });
    expect(readHead(head ?? Buffer.alloc(0))).toMatchObject({
      types: [RECORD.begin, RECORD.params],
      flags: 0,
    });
  });

  test('a pair that no record can hold does not fit', () => {
    // 1 byte name length, 4 bytes value length, 1 byte name.
    const largest = 'x'.repeat(CONTENT_MAX_BYTES - 6);
    expect(encodeHead(new Map([['A', largest]]), options)).not.toBeNull();
    expect(encodeHead(new Map([['A', `${largest}x`]]), options)).toBeNull();
  });

  test(`any variables arrive, and no pair straddles two records (SEED=${SEED})`, () => {
    const random = createDice(SEED + 2);
    for (let round = 0; round < ROUNDS; round += 1) {
      const variables = new Map<string, string>();
      for (let count = random.whole(0, 29); count > 0; count -= 1) {
        const name = bytesOf(random, 1 + random.whole(0, 199)).toString('latin1');
        const value = bytesOf(random, random.pick([0, 1, 127, 128, 5000, 40_000]));
        variables.set(name, value.toString('latin1'));
      }
      const head = encodeHead(variables, options);
      expect(readHead(head ?? Buffer.alloc(0)).variables).toEqual(variables);
    }
  });

  test.each([1, 65_527, 65_528, 65_529, 65_536, 200_000])('a body of %i bytes', (size) => {
    const body = Buffer.alloc(size, 'body');
    const sent = Buffer.concat([...encodeBody([body]), encodeBodyEnd()]);
    const contents: Buffer[] = [];
    for (let at = 0; at < sent.length;) {
      const length = sent.readUInt16BE(at + 4);
      expect(sent[at + 1]).toBe(RECORD.stdin);
      contents.push(sent.subarray(at + 8, at + 8 + length));
      at += 8 + length;
    }
    expect(contents.pop()).toHaveLength(0);
    expect(contents.every((content) => content.length > 0)).toBe(true);
    expect(Buffer.concat(contents).equals(body)).toBe(true);
    // However it came: records go over the borders of its pieces.
    const pieces: Buffer[] = [];
    for (let at = 0; at < size; at += 777) pieces.push(body.subarray(at, at + 777));
    expect(Buffer.concat([...encodeBody(pieces), encodeBodyEnd()]).equals(sent)).toBe(true);
  });
});
