/** `cofferdam events`: follows the decisions of a running instance, one line each. */
import { parseFlags } from '../config/flags.ts';
import { formatBytes, formatDuration } from '../config/units.ts';
import { EXIT } from '../errors.ts';
import type { CommandContext } from './command.ts';
import { INSTANCE_SETTINGS } from './commands.ts';
import { findInstance, follow } from './control-client.ts';
import { painterFor, type Paint } from './terminal.ts';

export async function run(argv: readonly string[], context: CommandContext): Promise<number> {
  const flags = parseFlags(argv, { settings: INSTANCE_SETTINGS, switches: ['json'] });
  const instance = await findInstance(flags, context);
  const paint = painterFor(context.stdout, context.env);
  const isJson = flags.switches.has('json') || context.stdout.isTTY !== true;
  await follow({ command: 'events' }, instance, (line, close) => {
    context.stdout.write(`${isJson ? line : renderEvent(line, paint)}\n`);
    // Its reader went away (`| head`): there is nobody to follow for.
    if (context.stdout.destroyed || context.stdout.errored) close();
  });
  return EXIT.ok;
}

/**
 * `12:30:01.250 recycled slot=3 reason=max_memory memory=212MiB`; other text comes back as it is.
 */
export function renderEvent(line: string, paint: Paint): string {
  let event: unknown;
  try {
    event = JSON.parse(line);
  } catch {
    return line;
  }
  if (typeof event !== 'object' || event === null) return line;
  const { time, event: name, ...fields } = event as Record<string, unknown>;
  const clock = typeof time === 'string' ? `${paint('dim', time.slice(11, 23))} ` : '';
  const told = Object.entries(fields)
    .filter(([, value]) => value !== null && value !== '')
    .map(([field, value]) => renderField(field, value));
  return `${clock}${[paint('cyan', String(name)), ...told].join(' ')}`;
}

// --- internal ---

/** The unit goes from the end of the name to the value: `drainMs: 480` → `drain=480ms`. */
function renderField(field: string, value: unknown): string {
  if (typeof value === 'number' && field.endsWith('Ms')) {
    return `${kebab(field.slice(0, -2))}=${formatDuration(value)}`;
  }
  if (typeof value === 'number' && field.endsWith('Bytes')) {
    return `${kebab(field.slice(0, -5))}=${formatBytes(value)}`;
  }
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return `${kebab(field)}=${/[\s"=]/.test(text) ? JSON.stringify(text) : text}`;
}

function kebab(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}
