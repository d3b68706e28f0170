/** `cofferdam probe live|ready|started`: for images without curl; asks over the control socket. */
import { parseFlags } from '../config/flags.ts';
import { CofferdamError, EXIT } from '../errors.ts';
import { PROBES } from '../probes/probes.ts';
import type { CommandContext } from './command.ts';
import { INSTANCE_SETTINGS } from './commands.ts';
import { ask, findInstance } from './control-client.ts';

/** Whoever asks (a kubelet, a script) has a limit of its own, of a second or more. */
const PROBE_TIMEOUT_MS = 2000;

/** Exit code 0: green. 1: red, or nobody answers; why is told on stdout. */
export async function run(argv: readonly string[], context: CommandContext): Promise<number> {
  const switches = ['json'];
  const flags = parseFlags(argv, { settings: INSTANCE_SETTINGS, switches, wordsMax: 1 });
  const word = flags.words[0];
  const probe = PROBES.find((probe) => probe === word);
  if (probe === undefined) {
    const asked = word === undefined ? 'the probe is missing' : `there is no probe "${word}"`;
    throw new CofferdamError('COF_USAGE', `${asked}; there are ${PROBES.join(', ')}`, {
      hint: '`cofferdam probe ready` asks whether it can serve.',
    });
  }
  const instance = await findInstance(flags, context);
  const timeoutMs = PROBE_TIMEOUT_MS;
  const { green, reasons } = await ask({ command: 'probe', probe }, instance, { timeoutMs });
  const why = reasons.map(({ code, detail }) => `${code}: ${detail}`).join('; ');
  const text = flags.switches.has('json')
    ? JSON.stringify({ probe, green, reasons })
    : green
      ? 'ok'
      : why;
  context.stdout.write(`${text}\n`);
  return green ? EXIT.ok : EXIT.failed;
}
