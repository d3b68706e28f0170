/**
 * Makes a fresh clone ready: dependencies, tools, build. Needs nothing but Node and npm, asks nothing,
 * and does only what is missing. `npm start` and `npm test` both begin here.
 */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildPage } from './page.mjs';

export const ROOT = fileURLToPath(new URL('..', import.meta.url));

/** Programs that the tests drive, by the Debian package that has them. */
const TOOLS = {
  wrk: 'wrk',
  nginx: 'nginx',
  'php-cgi': 'php-cgi',
  h2load: 'nghttp2-client',
  promtool: 'prometheus',
  chromium: 'chromium',
  go: 'golang-go',
  gcc: 'build-essential',
  python3: 'python3',
  uvicorn: 'uvicorn',
  lighttpd: 'lighttpd',
  php: 'php-cli',
};

/** PHP applications that the tests serve, by a file that each of them has. */
const APPS = {
  '/usr/share/mediawiki/index.php': 'mediawiki',
  '/usr/share/dokuwiki/doku.php': 'dokuwiki',
  '/usr/share/php/Symfony/Bundle/FrameworkBundle/autoload.php': 'php-symfony-framework-bundle',
};

/** What they need of PHP itself; `apt-get` passes over what is there. */
const PHP_EXTENSIONS = ['sqlite3', 'intl', 'mbstring', 'xml'].map((name) => `php-${name}`);

/** Installs the npm packages of a folder of ours unless they are there and newer than the lock. */
export async function installPackages(folder) {
  const at = join(ROOT, folder);
  if (!existsSync(join(at, 'package.json'))) return;
  const lock = join(at, 'package-lock.json');
  const installed = join(at, 'node_modules', '.package-lock.json');
  const isFresh = existsSync(installed) && (!existsSync(lock) || age(installed) >= age(lock));
  if (isFresh) return;
  const verb = existsSync(lock) ? 'ci' : 'install';
  await run('npm', [verb, '--no-audit', '--no-fund', '--loglevel=error'], at);
}

/** Compiles `src` to a clean `dist`: a file that was deleted must not live on there. */
export async function build() {
  rmSync(join(ROOT, 'dist'), { recursive: true, force: true });
  await runBin('typescript/bin/tsc', ['-p', 'tsconfig.build.json']);
  buildPage();
}

/** Installs missing test tools where that can be done without asking; returns those still missing. */
export async function installTools() {
  const missing = () => [
    ...Object.keys(TOOLS).filter((tool) => !isInstalled(tool)),
    ...Object.keys(APPS).filter((file) => !existsSync(file)),
  ];
  if (missing().length === 0) return [];
  if (process.getuid?.() === 0 && isInstalled('apt-get')) {
    const packages = missing().flatMap((name) => TOOLS[name] ?? [APPS[name], ...PHP_EXTENSIONS]);
    // RUNLEVEL=1 keeps Debian from starting nginx as a service, which would take port 80.
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' };
    await run('apt-get', ['update', '-qq'], ROOT, env);
    await run(
      'apt-get',
      ['install', '-y', '-qq', '--no-install-recommends', ...packages],
      ROOT,
      env,
    );
  }
  return missing();
}

/** Builds the Go service of the tests unless it is newer than its source; without Go there is none. */
export async function buildService() {
  const folder = join(ROOT, 'test/apps/go');
  const binary = join(folder, '.cache', 'service');
  if (!isInstalled('go')) return;
  if (existsSync(binary) && age(binary) >= age(join(folder, 'main.go'))) return;
  // Without cgo it needs no C compiler, and no module but the standard library.
  const env = { ...process.env, CGO_ENABLED: '0', GOTOOLCHAIN: 'local' };
  await run('go', ['build', '-o', binary, '.'], folder, env);
}

/** Runs a program of our own dependencies with the Node that runs us. */
export function runBin(path, args) {
  return run(process.execPath, [join('node_modules', path), ...args], ROOT);
}

/** Runs quietly; a program that fails throws with all that it printed. */
export function run(command, args, cwd = ROOT, env = process.env) {
  return new Promise((resolve, reject) => {
    const output = [];
    const child = spawn(command, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
    child.stdout.on('data', (chunk) => output.push(chunk));
    child.stderr.on('data', (chunk) => output.push(chunk));
    child.once('error', reject);
    child.once('close', (code, signal) => {
      if (code === 0) return resolve();
      const why = signal ?? `exit code ${code}`;
      reject(new Error(`${command} ${args.join(' ')}: ${why}\n${Buffer.concat(output)}`));
    });
  });
}

// --- internal ---

function isInstalled(tool) {
  return spawnSync('sh', ['-c', `command -v ${tool}`], { stdio: 'ignore' }).status === 0;
}

function age(path) {
  return statSync(path).mtimeMs;
}
