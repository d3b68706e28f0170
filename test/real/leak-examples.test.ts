/** `cofferdam leak` on every app under `examples/`, as a new user would, with less patience. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { LOAD_ONLY } from '../support/leak-flags.ts';
import { runCli } from '../support/run-cli.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const RUN_MS = 170_000;

/** Ends by its requests, so that a slow machine has as many checkpoints. */
const QUICK = ['--duration', '60s', '--rate', '200', ...LOAD_ONLY, '--json', '--no-report'];
const SMALL = ['--requests', '600', '--batch', '20'];
/** Below 40 requests per second the search takes small steps: each keeps 100 kB. */
const HEAVY = ['--requests', '300', '--batch', '10', '--rate', '39'];
const LARGE = ['--requests', '4000', '--batch', '100', '--rate', '400'];

interface Example {
  readonly app: string;
  readonly flags: readonly string[];
  /** Who holds what leaks; null = no leak. */
  readonly holder: string | null;
  /** So few requests may leave a hundred bytes each undecided, but not unseen. */
  readonly small?: boolean;
}

const EXAMPLES: Readonly<Record<string, readonly Example[]>> = {
  'leaky-express': [{ app: '', flags: HEAVY, holder: 'sessions' }],
  'leak-ab': [
    { app: 'after.mjs', flags: LARGE, holder: 'recent', small: true },
    { app: 'before.mjs', flags: SMALL, holder: null },
  ],
  // With its two arms: leak-arms.test.ts.
  'leak-http2': [],
};

/** Not Node: said so at once, and how they are run instead. */
const OTHERS: Readonly<Record<string, string>> = {
  'go-service': 'main.go',
  'php-wiki': 'public/index.php',
  'python-asgi': 'app.py',
};

test('no example is left out', () => {
  const all = [...Object.keys(EXAMPLES), ...Object.keys(OTHERS)];
  expect(readdirSync(join(ROOT, 'examples')).toSorted()).toEqual(all.toSorted());
});

const cases = Object.entries(EXAMPLES).flatMap(([folder, apps]) =>
  apps.map((example) => ({ ...example, name: join('examples', folder, example.app) })),
);

test.each(cases)(
  'leak $name',
  async ({ name, flags, holder, small }) => {
    const ran = await runCli(['leak', join(ROOT, name), ...QUICK, ...flags], {}, RUN_MS);
    expect(ran.stderr).toBe('');
    const { verdict, sentence, culprit } = JSON.parse(ran.stdout);
    if (holder === null) {
      expect(verdict.kind, sentence).not.toBe('leak');
      return;
    }
    expect(verdict, sentence).toMatchObject({ signal: 'heap', rate: { per: 'request' } });
    if (small === true && verdict.kind === 'undecided') {
      expect(verdict.rate.high, sentence).toBeGreaterThan(50);
      expect(ran.code).toBe(3);
      return;
    }
    expect(verdict.kind, sentence).toBe('leak');
    expect(ran.code).toBe(1);
    const first = culprit.suspects.slice(0, 2).map((suspect: { name: string }) => suspect.name);
    expect(first).toContain(holder);
  },
  RUN_MS,
);

test.each(Object.entries(OTHERS))('leak examples/%s/%s: not a Node app', async (folder, file) => {
  const ran = await runCli(['leak', join(ROOT, 'examples', folder, file)]);
  expect(ran.stderr).toContain(`\`cofferdam leak\` measures Node apps`);
  expect(ran.stderr).toContain('cofferdam serve');
  expect(ran.code).toBe(2);
});
