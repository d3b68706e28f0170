/** `cofferdam recycle [POOL/SLOT]`: replaces one worker, or all of a pool, or all of them. */
import { parseFlags } from '../config/flags.ts';
import { formatDuration } from '../config/units.ts';
import { CofferdamError, EXIT } from '../errors.ts';
import type { CommandContext } from './command.ts';
import { INSTANCE_SETTINGS } from './commands.ts';
import { ANSWER_TIMEOUT_MS, ask, findInstance } from './control-client.ts';

export async function run(argv: readonly string[], context: CommandContext): Promise<number> {
  const switches = ['json', 'no-wait'];
  const flags = parseFlags(argv, { settings: INSTANCE_SETTINGS, switches, wordsMax: 1 });
  const target = parseTarget(flags.words[0]);
  const wait = !flags.switches.has('no-wait');
  const instance = await findInstance(flags, context);
  // A recycle takes as long as the slowest request of the old workers, and has its own deadlines.
  const timeoutMs = wait ? null : ANSWER_TIMEOUT_MS;
  const request = { command: 'recycle', ...target, wait } as const;
  const { recycled } = await ask(request, instance, { timeoutMs });
  if (flags.switches.has('json')) {
    context.stdout.write(`${JSON.stringify({ ok: true, recycled })}\n`);
    return EXIT.ok;
  }
  if (!wait) context.stdout.write('Asked for; `cofferdam events` shows when it is done.\n');
  const isOnePool = new Set(recycled.map(({ pool }) => pool)).size < 2;
  for (const { pool, slot, replacedInMs } of recycled) {
    const name = isOnePool && target.pool === undefined ? `slot ${slot}` : `${pool}/${slot}`;
    context.stdout.write(`${name} replaced in ${formatDuration(replacedInMs)}\n`);
  }
  return EXIT.ok;
}

// --- internal ---

interface Target {
  readonly slot: number | null;
  readonly pool?: string;
}

/** `2`, `api/2`, `api`, or nothing for all. */
function parseTarget(word: string | undefined): Target {
  if (word === undefined) return { slot: null };
  const [, pool, slot] = /^(?:([a-z][a-z0-9-]*)(?:\/|$))?([1-9]\d{0,5})?$/.exec(word) ?? [];
  const isCut = pool !== undefined && word.endsWith('/');
  if ((pool === undefined && slot === undefined) || isCut) {
    const message = `a slot is a number from 1, or api/1 in a pool, not ${JSON.stringify(word)}`;
    throw new CofferdamError('COF_USAGE', message, { hint: '`cofferdam status` lists the slots.' });
  }
  const number = slot === undefined ? null : Number(slot);
  return pool === undefined ? { slot: number } : { slot: number, pool };
}
