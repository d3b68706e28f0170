/**
 * Time and peak memory of reading three heap snapshots: `cofferdam leak --diff` against memlab, on the
 * same files. Each run is a process of its own, in turns; times and peaks are the kernel's.
 *
 *   npm run build && (cd bench/leak && PUPPETEER_SKIP_DOWNLOAD=1 npm ci --ignore-scripts)
 *   node bench/leak/snapshots.mjs [--megabytes 60,1600] [--rounds 3] [--node a,b] [--keep folder] [--write]
 *
 * V8 needs some 7 GB of memory to write a file of 1600 MB; memlab needs more to read three.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { cpus, loadavg, release, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { spread, table, writeSection } from '../report.mjs';

const HERE = (relative) => fileURLToPath(new URL(relative, import.meta.url));

/** A reader that needs longer is said not to finish. */
const LIMIT_MS = 10 * 60_000;

/** Said at the end by the process itself: the kernel counts children only when they are gone. */
const TELL = `data:text/javascript,process.on('exit',()=>{const u=process.resourceUsage();
process.stderr.write('USED '+JSON.stringify({cpu:(u.userCPUTime+u.systemCPUTime)/1e6,peak:u.maxRSS/1e6})+'\\n')})`;

const READERS = {
  'cofferdam leak --diff': (files) => [
    HERE('../../dist/cli/main.js'),
    'leak',
    '--diff',
    '--requests',
    '997',
    ...files,
  ],
  'memlab 2.0.5': (files) => [
    '--max-old-space-size=20480',
    '--input-type=module',
    '-e',
    `const { default: memlab } = await import(${JSON.stringify(HERE('node_modules/@memlab/api/dist/index.js'))});
     const found = await memlab.findLeaksBySnapshotFilePaths(...${JSON.stringify(files)});
     console.log(found.length + ' leaks');
     process.exit(0);`,
  ],
};

const { values } = parseArgs({
  options: {
    megabytes: { type: 'string', default: '60' },
    rounds: { type: 'string', default: '3' },
    node: { type: 'string', default: process.execPath },
    keep: { type: 'string' },
    write: { type: 'boolean', default: false },
  },
});
const folder = values.keep ?? mkdtempSync(join(tmpdir(), 'cofferdam-bench-'));
const began = new Date().toISOString().slice(0, 10);
const loadAtStart = loadavg()[0].toFixed(2);
try {
  const rows = [];
  for (const node of values.node.split(',')) {
    for (const size of values.megabytes.split(',')) rows.push(...compare(node, size));
  }
  const text = `${circumstances()}\n\n${table(
    ['Node', 'files', 'reader', 'wall s', 'CPU s', 'peak memory GB', 'found'],
    rows,
  )}`;
  console.log(`\n${text}`);
  if (values.write) writeSection('snapshots', text);
} finally {
  if (values.keep === undefined) rmSync(folder, { recursive: true, force: true });
}

// --- internal ---

function compare(node, megabytes) {
  const version = execFileSync(node, ['--version'], { encoding: 'utf8' }).trim();
  const files = filesOf(node, version, megabytes);
  const sizes = files.map((file) => (statSync(file).size / 1e6).toFixed(0)).join(', ');
  const runs = Object.fromEntries(Object.keys(READERS).map((name) => [name, []]));
  for (let round = 0; round < Number(values.rounds); round += 1) {
    for (const [name, argsFor] of Object.entries(READERS)) {
      // What did not finish once will not the next time.
      if (runs[name].at(-1)?.peak === null) continue;
      const run = measure(node, argsFor(files));
      runs[name].push(run);
      console.log(version, `${sizes} MB`, name, JSON.stringify(run));
    }
  }
  return Object.entries(runs).map(([name, list]) => {
    const column = (key, digits) =>
      spread(
        list.map((run) => run[key]),
        digits,
      );
    const found = list.at(-1).found;
    return [
      version,
      `${sizes} MB`,
      name,
      column('wall', 1),
      column('cpu', 1),
      column('peak', 2),
      found,
    ];
  });
}

function filesOf(node, version, megabytes) {
  const at = join(folder, `${version}-${megabytes}`);
  const files = ['1', '2', '3'].map((name) => join(at, `${name}.heapsnapshot`));
  if (!files.every((file) => existsSync(file))) {
    mkdirSync(at, { recursive: true });
    execFileSync(node, ['--max-old-space-size=16384', HERE('large-heap.cjs'), at, megabytes], {
      stdio: 'inherit',
    });
  }
  return files;
}

function measure(node, args) {
  const started = performance.now();
  const { stdout, stderr, signal } = spawnSync(node, ['--import', TELL, ...args], {
    encoding: 'utf8',
    env: { ...process.env, NO_COLOR: '1' },
    timeout: LIMIT_MS,
    killSignal: 'SIGKILL',
    maxBuffer: 1 << 26,
  });
  const wall = (performance.now() - started) / 1000;
  const used = /USED (\{.*\})/.exec(stderr)?.[1];
  if (used === undefined) {
    const why =
      signal === 'SIGKILL'
        ? `not done after ${LIMIT_MS / 60_000} min`
        : stderr.trim().split('\n').at(-1);
    return { wall, cpu: null, peak: null, found: why };
  }
  const lines = stdout.trim().split('\n');
  const found = lines.find((line) => line.includes('1. ')) ?? lines.at(-1);
  return {
    wall,
    ...JSON.parse(used),
    found: found
      .replace('1. ', '')
      .replace(/, reached from.*/, '')
      .trim(),
  };
}

function circumstances() {
  const command = `node bench/leak/snapshots.mjs ${process.argv.slice(2).join(' ')}`.trim();
  return (
    `${began}, \`${command}\`; ${cpus().length} × ${cpus()[0].model}, ` +
    `${Math.round(totalmem() / 2 ** 30)} GiB, Linux ${release()}, load average at the start ${loadAtStart}.`
  );
}
