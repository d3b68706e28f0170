import { expect, test } from 'vitest';
// Plain JavaScript: the same file is the runner of the whole corpus.
import { CORPUS, runApp } from '../leak-corpus/run.mjs';
import { SMALL_BATCHES } from '../support/leak-flags.ts';

/** The whole corpus takes half an hour (`npm run leak-corpus`); this is the part that CI can afford. */
const QUICK = ['--duration', '15s', ...SMALL_BATCHES];
const RUN_MS = 120_000;

interface Entry {
  readonly app: string;
}

/** What the report has to say beyond the signal. */
const TRUTHS: Readonly<Record<string, object>> = {
  'unclosed-file': { covered: true },
  // Identical requests stop it; no request at all does not stop the other.
  memo: { keyedByInput: true },
  'idle-growth': { rate: { per: 'second' } },
};

const find = (list: readonly Entry[], name: string): Entry => list.find(({ app }) => app === name)!;

test.each(['unclosed-file', 'memo', 'idle-growth'])(
  'leak: %s',
  async (name) => {
    const entry = { ...find(CORPUS.leaks, name), leaks: true };
    // The last --rest counts: growth by time needs some.
    const flags = name === 'idle-growth' ? [...QUICK, '--rest', '3s'] : QUICK;
    const result = await runApp(entry, { node: process.execPath, flags });
    expect(result, result.sentence).toMatchObject({ right: true, ...TRUTHS[name] });
    expect(result.rank).toBeLessThanOrEqual(2);
  },
  RUN_MS,
);

test.each(['ring'])(
  'no leak: %s',
  async (name) => {
    const entry = { ...find(CORPUS.calm, name), leaks: false };
    const result = await runApp(entry, { node: process.execPath, flags: QUICK });
    expect(result.kind, result.sentence).not.toBe('leak');
    expect(result.kind).not.toContain('failed');
  },
  RUN_MS,
);
