/** `cofferdam serve` of the echo app in PHP (test/apps/php-echo), as tests want it. */
import type { RunningCofferdam } from './cofferdam.ts';
import { APPS_FOLDER } from './processes.ts';
import { serve, workerEvents } from './serve.ts';

/** Whatever holds for php workers holds for both. */
export const PHP_LAYOUTS = ['isolated', 'zygote'] as const;

export type PhpLayoutName = (typeof PHP_LAYOUTS)[number];

export const PHP_ECHO = `${APPS_FOLDER}php-echo/index.php`;

/** On two workers (unless `args` say otherwise), all ready; ends with the test. */
export async function servePhp(
  args: readonly string[] = [],
  layout: PhpLayoutName = 'zygote',
): Promise<RunningCofferdam> {
  const workers = args.includes('--workers') ? [] : ['--workers', '2'];
  // Not the port that all instances take by default: another test may have it.
  const common = ['--ops', '127.0.0.1:0', '--php-layout', layout];
  const pool = await serve([PHP_ECHO, ...common, ...workers, ...args]);
  await waitForPhp(pool);
  return pool;
}

/** The gateway is ready first, and says so too. */
export async function waitForPhp(pool: RunningCofferdam): Promise<void> {
  await pool.waitFor(/"event":"all_ready","workers"/);
}

/** Process ids of the php-cgi that became ready, oldest first. */
export function phpPids(pool: RunningCofferdam): number[] {
  return workerEvents(pool, 'worker_ready').map(({ pid }) => Number(pid));
}
