/** The PHP stack of a stuck worker, read from outside: with opcache and without. */
import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { readPhpStack } from '../../src/metrics/php-stack.ts';
import { needPhp } from '../gateway/php.ts';
import { killOne, waitUntil } from '../support/processes.ts';
import { scratchFolder } from '../support/scratch.ts';

needPhp();

const SCRIPT = `<?php
class Job {
  static function make() { (new Job)->run(2); }
  function run($n) { if ($n > 0) return $this->run($n - 1); sleep(60); }
}
array_map(fn ($x) => Job::make(), [1]);
`;

test.each(['1', '0'])(
  'opcache %s: functions, classes, closures, files and lines',
  async (opcache) => {
    const file = join(scratchFolder(), 'stuck.php');
    writeFileSync(file, SCRIPT);
    const args = ['-q', '-d', `opcache.enable=${opcache}`, file];
    const child = spawn('php-cgi', args, { stdio: 'ignore' });
    const pid = child.pid ?? 0;
    onTestFinished(() => killOne(pid));
    let stack: readonly string[] | null = null;
    await waitUntil('it sleeps', () => {
      stack = readPhpStack(pid);
      return stack?.[0] === 'sleep()';
    });
    expect(stack).toEqual([
      'sleep()',
      `Job::run() ${file}:4`,
      `Job::run() ${file}:4`,
      `Job::run() ${file}:4`,
      `Job::make() ${file}:3`,
      `{closure}() ${file}:6`,
      'array_map()',
      `${file}:6`,
    ]);
  },
);

test('who is no php-cgi, or is gone, has none', () => {
  expect(readPhpStack(process.pid)).toBeNull();
  expect(readPhpStack(2 ** 22 - 1)).toBeNull();
});
