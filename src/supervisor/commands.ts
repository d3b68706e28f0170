/** What the control socket understands. */
import { workersOf } from '../control/pool.ts';
import type { Status } from '../control/status.ts';
import { CofferdamError } from '../errors.ts';
import type { ControlHandler, Reply } from './control-socket.ts';
import type { Loop } from './loop.ts';
import type { Waiters } from './waiters.ts';

export interface CommandsOptions {
  readonly loop: Loop;
  readonly waiters: Waiters;
  /** Resolves to the settings that only a restart applies. */
  reload(): Promise<readonly string[]>;
  status(): Status;
}

type Parameters = Readonly<Record<string, unknown>>;

export function createCommands(options: CommandsOptions): ControlHandler {
  const commands: Readonly<Record<string, (parameters: Parameters) => Promise<Reply> | Reply>> = {
    status: () => ({ ok: true, status: options.status() }),
    events: () => ({ ok: true, follow: true }),
    recycle: (parameters) => recycle(parameters, options),
    async reload() {
      return { ok: true, restart: await options.reload() };
    },
  };
  return {
    async handle(name, parameters) {
      const command = Object.hasOwn(commands, name) ? commands[name] : undefined;
      if (command === undefined) {
        const known = Object.keys(commands).join(', ');
        throw new CofferdamError('COF_USAGE', `unknown command "${name}"; there are ${known}`);
      }
      return command(parameters);
    },
  };
}

// --- internal ---

async function recycle(parameters: Parameters, options: CommandsOptions): Promise<Reply> {
  const slots = [...new Set(workersOf(options.loop.state()).map(({ slot }) => slot))];
  const asked = parameters['slot'] ?? null;
  if (asked !== null && (typeof asked !== 'number' || !slots.includes(asked))) {
    throw new CofferdamError(
      'COF_USAGE',
      `there is no slot ${JSON.stringify(asked)}; the slots are ${slots.join(', ')}`,
    );
  }
  const recycled = options.waiters.wait(asked === null ? slots : [asked]);
  options.loop.enqueue({ type: 'recycle', slot: asked, reason: 'manual' });
  if (parameters['wait'] === false) {
    // Nobody waits; what becomes of it is in the log.
    recycled.catch(() => {});
    return { ok: true, recycled: [] };
  }
  return { ok: true, recycled: await recycled };
}
