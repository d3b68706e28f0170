/** Tools from the distribution: wrk, h2load (nghttp2-client), nginx, chromium, Go, Python. */
import { spawn } from 'node:child_process';
import { accessSync, constants, existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';

const PACKAGES = {
  wrk: 'wrk',
  h2load: 'nghttp2-client',
  nginx: 'nginx',
  'php-cgi': 'php-cgi',
  lighttpd: 'lighttpd',
  promtool: 'prometheus',
  chromium: 'chromium',
  go: 'golang-go',
  gcc: 'build-essential',
  python3: 'python3',
  uvicorn: 'uvicorn',
} as const;

export type Tool = keyof typeof PACKAGES;

/** Absolute path of the tool, or null. nginx often lives in /usr/sbin, outside a user's PATH. */
export function findTool(tool: Tool): string | null {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin'];
  return folders.map((folder) => join(folder, tool)).find(isExecutable) ?? null;
}

/**
 * For `test.skipIf(lacks('wrk'))`: says what is missing. With CI=true nothing may be skipped, so
 * there it is false and the test fails on its own.
 */
export function lacks(tool: Tool): boolean {
  if (findTool(tool) !== null || process.env['CI'] === 'true') return false;
  process.stderr.write(`skipping tests with ${tool}: apt-get install ${PACKAGES[tool]}\n`);
  return true;
}

/** The same for a package that has no program but files. */
export function lacksFile(file: string, debianPackage: string): boolean {
  if (existsSync(file) || process.env['CI'] === 'true') return false;
  process.stderr.write(`skipping tests with ${file}: apt-get install ${debianPackage}\n`);
  return true;
}

/** Runs a tool to its end; kills it, and throws, when it takes longer than `timeoutMs`. */
export async function runTool(
  tool: Tool,
  args: readonly string[],
  timeoutMs: number,
): Promise<string> {
  const file = findTool(tool);
  if (file === null) throw new Error(`${tool} is missing: apt-get install ${PACKAGES[tool]}`);
  const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'pipe'], timeout: timeoutMs });
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  if (code !== 0) throw new Error(`${tool} ended with ${code}: ${output}`);
  return output;
}

// --- internal ---

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
