/** `cofferdam reload`: the running instance reads its configuration again. */
import { parseFlags } from '../config/flags.ts';
import { EXIT } from '../errors.ts';
import type { CommandContext } from './command.ts';
import { INSTANCE_SETTINGS } from './commands.ts';
import { ask, findInstance } from './control-client.ts';

/** Reading a configuration may run the user's own `.mjs`, which has 10 s. */
const RELOAD_TIMEOUT_MS = 15_000;

export async function run(argv: readonly string[], context: CommandContext): Promise<number> {
  const flags = parseFlags(argv, { settings: INSTANCE_SETTINGS });
  const instance = await findInstance(flags, context);
  const reply = await ask({ command: 'reload' }, instance, { timeoutMs: RELOAD_TIMEOUT_MS });
  context.stdout.write('The new configuration is read; workers are replaced one by one.\n');
  if (reply.restart !== undefined && reply.restart.length > 0) {
    context.stderr.write(`Only a restart applies: ${reply.restart.join(', ')}.\n`);
  }
  return EXIT.ok;
}
