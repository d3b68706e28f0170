/** Native memory in use, walked from outside, of a program whose numbers are known. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { walkMalloc } from '../../src/leak/malloc-walk.ts';
import { scratchFolder } from '../support/scratch.ts';
import { lacks } from '../support/tools.ts';

const SOURCE = join(import.meta.dirname, 'fixtures/freed-chunks.c');

/** What each thread keeps: one chunk, and glibc's cache of the thread itself. */
const KEPT_BYTES = 5008 + 656;

/** glibc rounds a rest that is too small for a chunk of its own up. */
const ROUNDED_BYTES = 32;

test.skipIf(lacks('gcc')).each([1, 4, 32])(
  '%i threads that freed all but a chunk',
  async (count) => {
    const program = join(scratchFolder(), 'freed-chunks');
    execFileSync('gcc', ['-O0', '-pthread', '-o', program, SOURCE]);
    const child = spawn(program, [String(count)], { stdio: ['pipe', 'pipe', 'inherit'] });
    onTestFinished(() => void child.kill('SIGKILL'));
    await once(child.stdout, 'data');
    const before = walkMalloc(child.pid ?? 0);
    child.stdin.write('\n');
    await once(child.stdout, 'data');
    const after = walkMalloc(child.pid ?? 0);
    const grown = (after?.inUseBytes ?? 0) - (before?.inUseBytes ?? 0);
    expect(grown).toBeGreaterThanOrEqual(count * KEPT_BYTES);
    expect(grown).toBeLessThanOrEqual(count * (KEPT_BYTES + ROUNDED_BYTES));
    expect((after?.freeBytes ?? 0) - (before?.freeBytes ?? 0)).toBeGreaterThan(count * 100_000);
  },
);
