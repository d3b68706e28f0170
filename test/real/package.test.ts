/** What npm would publish is complete, holds nothing else, and works where nothing else is. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';

/** The registry may be slow, and npm unpacks on a busy machine. */
const INSTALL_TIMEOUT_MS = 120_000;

interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly bin: Record<string, string>;
}

const manifest = JSON.parse(readFileSync('package.json', 'utf8')) as Manifest;
let folder: string;
let packed: { filename: string; files: { path: string }[] };

function run(command: string, args: string[], cwd: string): string {
  const stdio = ['ignore', 'pipe', 'pipe'] as ['ignore', 'pipe', 'pipe'];
  return execFileSync(command, args, { cwd, encoding: 'utf8', stdio });
}

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'cofferdam-package-'));
  // Without scripts: prepack would empty the dist that other tests run from at this moment.
  const args = ['pack', '--json', '--ignore-scripts', '--pack-destination', folder];
  [packed] = JSON.parse(run('npm', args, '.')) as [typeof packed];
  writeFileSync(join(folder, 'package.json'), '{"name":"empty","private":true,"type":"module"}');
  const quiet = ['--no-audit', '--no-fund', '--prefer-offline', '--loglevel=error'];
  run('npm', ['install', ...quiet, join(folder, packed.filename)], folder);
}, INSTALL_TIMEOUT_MS);

afterAll(() => rmSync(folder, { recursive: true }));

test('it holds the program, its types and the papers, and nothing else', () => {
  const paths = packed.files.map(({ path }) => path);
  expect(paths).toEqual(
    expect.arrayContaining(['package.json', 'README.md', 'LICENSE', 'CHANGELOG.md']),
  );
  expect(paths).toEqual(expect.arrayContaining(['dist/index.js', 'dist/index.d.ts']));
  expect(paths).toEqual(expect.arrayContaining(Object.values(manifest.bin)));
  const page = ['page.html', 'style.css', 'icon.svg', 'app.js', 'uPlot.min.css', 'uPlot.LICENSE'];
  const pagePaths = page.map((name) => `dist/dashboard/client/${name}`);
  expect(paths).toEqual(expect.arrayContaining(pagePaths));
  const expected = /^(dist\/.+\.(js|cjs|d\.ts|d\.cts)|package\.json|[A-Z]+(\.md)?)$/;
  const others = paths.filter((path) => !expected.test(path) && !pagePaths.includes(path));
  expect(others).toEqual([]);
});

test('the command runs', () => {
  const printed = run('npx', ['--no-install', 'cofferdam', '--version'], folder);
  expect(printed).toContain(manifest.version);
});

test('the module can be imported, and its insides cannot', () => {
  const script = `
    const api = await import('cofferdam');
    const inside = await import('cofferdam/dist/errors.js').catch((error) => error.code);
    console.log(JSON.stringify([Object.keys(api), inside]));
  `;
  const printed = run(process.execPath, ['--input-type=module', '-e', script], folder);
  const [names, inside] = JSON.parse(printed) as [string[], string];
  expect(names).toContain('CofferdamError');
  expect(inside).toBe('ERR_PACKAGE_PATH_NOT_EXPORTED');
});

test('its types resolve', () => {
  writeFileSync(
    join(folder, 'use.ts'),
    "import { CofferdamError } from 'cofferdam';\nexport const hint: string = new CofferdamError('COF_USAGE', '').hint;\n",
  );
  // Our declarations speak of node's types, as does everybody who uses us.
  symlinkSync(resolve('node_modules/@types'), join(folder, 'node_modules/@types'));
  const options = ['--noEmit', '--strict', '--module', 'nodenext', '--types', 'node', 'use.ts'];
  run(process.execPath, [resolve('node_modules/typescript/bin/tsc'), ...options], folder);
});
