/** `cofferdam serve <app>`: runs the app from a pool of workers until it is told to stop. */
import { parseFlags } from '../config/flags.ts';
import { readConfig } from '../config/load.ts';
import { createLog } from '../supervisor/log.ts';
import { supervise } from '../supervisor/supervisor.ts';
import type { CommandContext } from './command.ts';
import { readVersion } from './version.ts';

/** Resolves to the exit code. */
export async function run(argv: readonly string[], context: CommandContext): Promise<number> {
  const request = { flags: parseFlags(argv), env: context.env, cwd: context.cwd };
  const config = await readConfig(request);
  const { log: format, quiet } = config.settings;
  const log = await createLog({ format, quiet, stream: process.stderr });
  const code = await supervise({
    config,
    readConfig: () => readConfig(request),
    log,
    version: readVersion(),
  });
  // Whatever is left open here, the stop has ended.
  setTimeout(() => process.exit(), LEFT_OPEN_MS).unref();
  return code;
}

// --- internal ---

/** Time for the last log lines; nothing else of ours is under way. */
const LEFT_OPEN_MS = 1000;
