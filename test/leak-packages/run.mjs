/**
 * Historical leaks of npm packages: `cofferdam leak` has to accuse the bad version, and only it.
 *
 *   node test/leak-packages/run.mjs [name …] [--node /path/to/node] [--duration 45s]
 *
 * Needs a built `dist` and an npm registry, so it is no part of `npm test`.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { execute, rankOf } from '../leak-corpus/run.mjs';

const HERE = dirname(fileURLToPath(import.meta.url));
const CLI = join(HERE, '../../dist/cli/main.js');
const PACKAGES = JSON.parse(readFileSync(join(HERE, 'packages.json'), 'utf8'));

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    node: { type: 'string', default: process.execPath },
    duration: { type: 'string', default: '45s' },
  },
});
const folder = mkdtempSync(join(tmpdir(), 'cofferdam-packages-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));

console.log('| package | leak | verdict | guilty one is |\n|---|---|---|---|');
for (const entry of PACKAGES) {
  if (positionals.length > 0 && !positionals.includes(entry.name)) continue;
  for (const version of [entry.bad, entry.fixed]) {
    const isBad = version === entry.bad;
    const { verdict, sentence, culprit } = await test(entry, version);
    const right = (verdict?.kind === 'leak') === isBad;
    if (!right) process.exitCode = 1;
    const rank = isBad && right ? (rankOf(entry, culprit) ?? 'not named') : '';
    const what = isBad ? `[${entry.what}](${entry.issue})` : 'mended';
    console.log(
      `| ${entry.name} ${version} | ${what} | ${right ? '' : 'WRONG: '}${sentence} | ${rank} |`,
    );
  }
}

// --- internal ---

async function test({ name }, version) {
  const prefix = join(folder, `${name}-${version}`);
  const args = ['install', '--prefix', prefix, '--no-audit', '--no-fund', `${name}@${version}`];
  const { status, stderr } = spawnSync('npm', args, { encoding: 'utf8' });
  if (status !== 0) return { sentence: `not installed: ${stderr.slice(-300)}` };
  const ran = await execute(
    values.node,
    [CLI, 'leak', join(HERE, 'apps', `${name}.cjs`), '--json', '--no-report'].concat([
      '--duration',
      values.duration,
    ]),
    { ...process.env, PACKAGE: join(prefix, 'node_modules', name) },
  );
  try {
    return JSON.parse(ran.stdout);
  } catch {
    return { sentence: `failed (${ran.code}): ${ran.stderr.slice(0, 300)}` };
  }
}
