/** `cofferdam serve` of the echo app in PHP (test/apps/php-echo), as tests want it. */
import type { LogEvent, RunningCofferdam } from './cofferdam.ts';
import { APPS_FOLDER } from './processes.ts';
import { serve } from './serve.ts';

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

/** Events of the php-cgi workers: those of the gateway have the name of its pool. */
export function phpEvents(pool: RunningCofferdam, kind: string): LogEvent[] {
  return pool.events.filter(({ event, pool: of }) => event === kind && of === undefined);
}

/** Process ids of the php-cgi that became ready, oldest first. */
export function phpPids(pool: RunningCofferdam): number[] {
  return phpEvents(pool, 'worker_ready').map(({ pid }) => Number(pid));
}
