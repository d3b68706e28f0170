/** The live line of `cofferdam leak`: what it says on a terminal, and that it says nothing elsewhere. */
import { Writable } from 'node:stream';
import { expect, test } from 'vitest';
import { startProgress } from '../../src/cli/leak-progress.ts';
import type { Progress } from '../../src/leak/phases.ts';

function terminal(isTTY: boolean, columns = 200) {
  let text = '';
  const output = new Writable({
    write(chunk: Buffer, _, done) {
      text += chunk.toString();
      done();
    },
  });
  return { output: Object.assign(output, { isTTY, columns }), text: () => text };
}

const PROGRESS: Progress = {
  phase: 'load',
  requests: 12_400,
  floorBytes: 9_876_543,
  slope: { slope: 397, low: 340, high: 487 },
  leftMs: 41_000,
};

test('phase, requests, live floor, live slope with its interval, time left', () => {
  const { output, text } = terminal(true);
  startProgress(output).tell(PROGRESS);
  expect(text()).toBe(
    '\r\u001B[Kload · 12\u2009400 requests · floor 9.9 MB · 397 B/request [340 B, 487 B] · 41 s left',
  );
});

test('before there is a slope, and where no time is left to count, the rest is told', () => {
  const { output, text } = terminal(true);
  const progress = startProgress(output);
  progress.tell({ ...PROGRESS, phase: 'warm-up', slope: null });
  progress.tell({ ...PROGRESS, phase: 'rest' });
  const [, first, second] = text().split('\r\u001B[K');
  expect(first).toBe('warm-up · 12\u2009400 requests · floor 9.9 MB · 41 s left');
  expect(second).not.toContain('left');
});

test('fits into its line, and leaves it empty', () => {
  const { output, text } = terminal(true, 30);
  const progress = startProgress(output);
  progress.tell(PROGRESS);
  progress.end();
  progress.end();
  const [, line = '', last] = text().split('\r\u001B[K');
  expect(line).toHaveLength(29);
  expect(last).toBe('');
});

test('nothing where nobody looks', () => {
  const { output, text } = terminal(false);
  const progress = startProgress(output);
  progress.tell(PROGRESS);
  progress.end();
  expect(text()).toBe('');
});
