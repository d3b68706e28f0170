import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export const CLI = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

export interface CliResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** What every run here has in common: nothing of the machine's own settings. */
export const CLEAN_ENV: NodeJS.ProcessEnv = { PATH: process.env['PATH'] };

/** A command that hangs is a failure, and must not hang the test run. */
const RUN_TIMEOUT_MS = 20_000;

/** Runs the built command line to its end. */
export async function runCli(
  args: readonly string[],
  options: {
    readonly cwd: string;
    readonly env?: NodeJS.ProcessEnv;
    /** Run as another user: root may read everything. */
    readonly uid?: number;
  },
): Promise<CliResult> {
  if (!existsSync(CLI)) throw new Error('build first: npm run build');
  const child = spawn(process.execPath, [CLI, ...args], {
    cwd: options.cwd,
    env: { ...CLEAN_ENV, ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: RUN_TIMEOUT_MS,
    killSignal: 'SIGKILL',
    ...(options.uid === undefined ? {} : { uid: options.uid, gid: options.uid }),
  });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, stdout, stderr };
}
