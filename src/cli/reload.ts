/** `cofferdam reload`: the running instance reads its configuration again. */
import { parseFlags } from '../config/flags.ts';
import { formatCount, formatDuration } from '../config/units.ts';
import { EXIT } from '../errors.ts';
import type { CommandContext } from './command.ts';
import { INSTANCE_SETTINGS } from './commands.ts';
import { ask, findInstance } from './control-client.ts';

/** Reading a configuration may run the user's own `.mjs`, which has 10 s. */
const READ_TIMEOUT_MS = 15_000;

export async function run(argv: readonly string[], context: CommandContext): Promise<number> {
  const flags = parseFlags(argv, { settings: INSTANCE_SETTINGS, switches: ['no-wait'] });
  const wait = !flags.switches.has('no-wait');
  const instance = await findInstance(flags, context);
  // The rest takes as long as workers boot and drain, which have deadlines of their own.
  const timeoutMs = wait ? null : READ_TIMEOUT_MS;
  const { restart, reloaded } = await ask({ command: 'reload', wait }, instance, { timeoutMs });
  context.stdout.write(
    reloaded == null
      ? 'The new configuration is read; if its first worker serves, the others follow.\n'
      : `The new configuration serves: ${formatCount(reloaded.workers, 'worker')} replaced in ` +
          `${formatDuration(reloaded.tookMs)}.\n`,
  );
  if (restart !== undefined && restart.length > 0) {
    context.stderr.write(`Only a restart applies: ${restart.join(', ')}.\n`);
  }
  return EXIT.ok;
}
