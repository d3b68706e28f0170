/** One run of the command line from start to end, as a person would type it. */
import { spawn } from 'node:child_process';
import { CLI } from './cofferdam.ts';
import { killTree, waitForExit } from './processes.ts';

export interface CliRun {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Less than the timeout of a test: a command that hangs has to be killed while it runs. */
const RUN_MS = 20_000;

/** Runs `cofferdam <args>`; whatever hangs is killed. */
export async function runCli(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
  limitMs = RUN_MS,
): Promise<CliRun> {
  const child = spawn(process.execPath, [CLI, ...args], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  const closed = new Promise<void>((resolve) => child.once('close', () => resolve()));
  const timer = setTimeout(() => void killTree(child.pid ?? 0), limitMs);
  const { code } = await waitForExit(child);
  await closed;
  clearTimeout(timer);
  return { code, stdout, stderr };
}
