/**
 * Time and peak memory of reading three heap snapshots: `cofferdam leak --diff` against memlab, on the
 * same files. Each run is a process of its own; the best of the rounds counts, peaks are the kernel's.
 *
 *   node bench/leak/snapshots.mjs [--entries 300000] [--rounds 3]
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: {
    entries: { type: 'string', default: '300000' },
    rounds: { type: 'string', default: '3' },
  },
});
const path = (relative) => fileURLToPath(new URL(relative, import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'cofferdam-bench-'));

/** Prints seconds of CPU and peak RSS after the work. */
const TELL = `const u = process.resourceUsage();
console.log('CPU and peak MB', JSON.stringify({ cpu: (u.userCPUTime + u.systemCPUTime) / 1e6, rss: u.maxRSS / 1024 }));`;

const READERS = {
  cofferdam: (files) => `
    const { readSnapshots } = await import(${JSON.stringify(path('../../dist/leak/heap-compare.js'))});
    const found = await readSnapshots(${JSON.stringify(files)}, { requests: null });
    console.log(found[0]?.name);
    ${TELL}`,
  memlab: (files) => `
    const { findLeaksBySnapshotFilePaths } = (await import(${JSON.stringify(path('node_modules/@memlab/api/dist/index.js'))})).default;
    const found = await findLeaksBySnapshotFilePaths(...${JSON.stringify(files)});
    console.log(found.length + ' leaks');
    ${TELL}`,
};

try {
  execFileSync(
    process.execPath,
    [
      '--max-old-space-size=8192',
      path('../../test/leak/fixtures/patterns.cjs'),
      'map',
      folder,
      String(Math.round(Number(values.entries) / 4)),
    ],
    { stdio: 'inherit' },
  );
  const files = ['1', '2', '3'].map((name) => join(folder, `${name}.heapsnapshot`));
  const megabytes = files.map((file) => (statSync(file).size / 1e6).toFixed(0));
  console.log(`files of ${megabytes.join(', ')} MB, Node ${process.version}`);
  for (let round = 0; round < Number(values.rounds); round += 1) {
    for (const [name, script] of Object.entries(READERS))
      console.log(name, ...measure(script(files)));
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}

function measure(script) {
  const started = performance.now();
  const output = execFileSync(
    process.execPath,
    ['--max-old-space-size=8192', '--input-type=module', '-e', `${script} process.exit(0);`],
    { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, NO_COLOR: '1' } },
  );
  const wall = ((performance.now() - started) / 1000).toFixed(1);
  return [`${wall} s wall`, output.trim().split('\n').slice(-2).join(' ')];
}
