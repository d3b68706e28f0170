/** `cofferdam scale [POOL] N`: more or fewer workers, within the limits of `--workers MIN..MAX`. */
import { parseFlags } from '../config/flags.ts';
import { CofferdamError, EXIT } from '../errors.ts';
import type { CommandContext } from './command.ts';
import { INSTANCE_SETTINGS } from './commands.ts';
import { ANSWER_TIMEOUT_MS, ask, findInstance } from './control-client.ts';

export async function run(argv: readonly string[], context: CommandContext): Promise<number> {
  const flags = parseFlags(argv, { settings: INSTANCE_SETTINGS, switches: ['json'], wordsMax: 2 });
  const [pool] = flags.words.length > 1 ? flags.words : [];
  const slots = parseCount(flags.words.at(-1));
  const instance = await findInstance(flags, context);
  const timeoutMs = ANSWER_TIMEOUT_MS;
  const request = { command: 'scale', slots, ...(pool === undefined ? {} : { pool }) } as const;
  const { from, to } = await ask(request, instance, { timeoutMs });
  const text = flags.switches.has('json')
    ? JSON.stringify({ ok: true, from, to })
    : from === to
      ? `There are ${to} workers already.`
      : `From ${from} to ${to} workers; \`cofferdam status\` shows them come and go.`;
  context.stdout.write(`${text}\n`);
  return EXIT.ok;
}

// --- internal ---

function parseCount(word: string | undefined): number {
  if (word !== undefined && /^[1-9]\d{0,5}$/.test(word)) return Number(word);
  const message =
    word === undefined
      ? 'the number of workers is missing'
      : `a number of workers is a number from 1, not ${JSON.stringify(word)}`;
  throw new CofferdamError('COF_USAGE', message, { hint: '`cofferdam scale 4`' });
}
