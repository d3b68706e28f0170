/** `cofferdam recycle [SLOT]`: replaces one worker, or all of them one by one. */
import { parseFlags } from '../config/flags.ts';
import { formatDuration } from '../config/units.ts';
import { CofferdamError, EXIT } from '../errors.ts';
import type { CommandContext } from './command.ts';
import { INSTANCE_SETTINGS } from './commands.ts';
import { ANSWER_TIMEOUT_MS, ask, findInstance } from './control-client.ts';

export async function run(argv: readonly string[], context: CommandContext): Promise<number> {
  const switches = ['json', 'no-wait'];
  const flags = parseFlags(argv, { settings: INSTANCE_SETTINGS, switches, wordsMax: 1 });
  const slot = parseSlot(flags.words[0]);
  const wait = !flags.switches.has('no-wait');
  const instance = await findInstance(flags, context);
  // A recycle takes as long as the slowest request of the old workers, and has its own deadlines.
  const timeoutMs = wait ? null : ANSWER_TIMEOUT_MS;
  const { recycled } = await ask({ command: 'recycle', slot, wait }, instance, { timeoutMs });
  if (flags.switches.has('json')) {
    context.stdout.write(`${JSON.stringify({ ok: true, recycled })}\n`);
    return EXIT.ok;
  }
  if (!wait) context.stdout.write('Asked for; `cofferdam events` shows when it is done.\n');
  for (const { slot, replacedInMs } of recycled) {
    context.stdout.write(`slot ${slot} replaced in ${formatDuration(replacedInMs)}\n`);
  }
  return EXIT.ok;
}

// --- internal ---

function parseSlot(word: string | undefined): number | null {
  if (word === undefined) return null;
  if (/^[1-9]\d{0,5}$/.test(word)) return Number(word);
  throw new CofferdamError('COF_USAGE', `a slot is a number from 1, not ${JSON.stringify(word)}`, {
    hint: '`cofferdam status` lists the slots.',
  });
}
