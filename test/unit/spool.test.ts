import { expect, test } from 'vitest';
import { createSpool, HELD_MEMORY_BYTES } from '../../src/data/gateway/spool.ts';

test('all bodies together stay within their memory; what is too much goes to a file, whole', async () => {
  const parts = 4;
  const chunk = Buffer.alloc(HELD_MEMORY_BYTES / parts, 'x');
  const spools = Array.from({ length: parts }, () => createSpool(Infinity));
  for (const spool of spools) expect(spool.write(chunk)).toBeNull();
  const late = createSpool(Infinity);
  const written = late.write(Buffer.from('one'));
  expect(written).toBeInstanceOf(Promise);
  await written;
  await late.write(Buffer.from('two'));
  expect(Buffer.concat(await late.read().toArray()).toString()).toBe('onetwo');
  // Memory given back is there for the next one, once.
  spools.pop()!.dispose();
  const next = createSpool(Infinity);
  expect(next.write(chunk)).toBeNull();
  const last = createSpool(Infinity);
  const moved = last.write(Buffer.from('x'));
  expect(moved).toBeInstanceOf(Promise);
  await moved;
  for (const spool of [...spools, late, next, last]) spool.dispose();
  const after = createSpool(Infinity);
  expect(after.write(chunk)).toBeNull();
  after.dispose();
});
