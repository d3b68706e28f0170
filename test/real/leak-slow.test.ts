/** Leaks that a busy app hides: per connection, and per change from idle to busy. */
import { expect, test } from 'vitest';
import { runCli } from '../support/run-cli.ts';
import { writeApp } from '../support/scratch.ts';

const FLAGS = [
  '--duration',
  '8s',
  '--rate',
  '400',
  '--batch',
  '80',
  '--rest',
  'off',
  '--slow',
  '4s',
];
const RUN_MS = 120_000;

const BULKY = `const kept = [];
const bulky = () => Array.from({ length: 800 }, (_, i) => kept.length * 1000 + i + 0.5);`;

const APPS = {
  connection: `${BULKY}
    const server = require('node:http').createServer((req, res) => res.end('ok'));
    server.on('connection', () => kept.push(bulky()));
    server.listen(process.env.PORT);`,
  'request to an idle app': `${BULKY}
    let users = 0;
    require('node:http').createServer((req, res) => {
      if (users++ === 0) kept.push(bulky());
      setTimeout(() => { users--; res.end('ok'); }, 15);
    }).listen(process.env.PORT);`,
};

test.each(Object.entries(APPS))(
  'a leak per %s',
  async (per, source) => {
    const args = ['leak', writeApp(source), ...FLAGS, '--json', '--no-report'];
    const { code, stdout, stderr } = await runCli(args, {}, RUN_MS);
    expect(stderr).not.toContain('cofferdam:');
    const { sentence, verdict, culprit, byLoad } = JSON.parse(stdout);
    expect(verdict, sentence).toMatchObject({ kind: 'leak', signal: 'heap', rate: { per } });
    // 800 numbers of 8 bytes each.
    expect(verdict.rate.slope).toBeGreaterThan(5000);
    expect(verdict.rate.slope).toBeLessThan(8500);
    expect(sentence).toContain('held by `kept` (Array)');
    expect(culprit.suspects[0].bytesPerRequest).toBeGreaterThan(5000);
    expect(byLoad).toHaveLength(3);
    expect(code).toBe(1);
  },
  RUN_MS,
);
