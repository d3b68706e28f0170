/** What the control socket understands. */
import { workersOf } from '../control/pool.ts';
import type { Status } from '../control/status.ts';
import { CofferdamError } from '../errors.ts';
import { judge, PROBES, type ProbeFacts } from '../probes/probes.ts';
import type { ControlHandler, Reply } from './control-socket.ts';
import type { Loop } from './loop.ts';
import type { Waiters } from './waiters.ts';

export interface CommandsOptions {
  readonly loop: Loop;
  facts(): ProbeFacts;
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
    probe: ({ probe }) => probeNow(probe, options),
    scale: ({ slots }) => scale(slots, options),
    reload: ({ wait }) => reload(wait !== false, options),
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

function probeNow(asked: unknown, options: CommandsOptions): Reply {
  const probe = PROBES.find((probe) => probe === asked);
  if (probe === undefined) {
    const message = `there is no probe ${JSON.stringify(asked)}; there are ${PROBES.join(', ')}`;
    throw new CofferdamError('COF_USAGE', message);
  }
  const reasons = judge(probe, options.facts());
  return { ok: true, green: reasons.length === 0, reasons };
}

/** Answers at once; the workers come and go when they may. */
function scale(slots: unknown, { loop }: CommandsOptions): Reply {
  const { workersMin, workersMax } = loop.state().policy;
  const isAllowed = Number.isInteger(slots) && Number(slots) >= workersMin;
  if (!isAllowed || Number(slots) > workersMax) {
    const fixed = workersMin === workersMax;
    throw new CofferdamError(
      'COF_CONTROL_REFUSED',
      fixed
        ? `this pool has ${workersMin} workers, no more and no less: start it with --workers MIN..MAX`
        : `this pool has ${workersMin} to ${workersMax} workers, not ${JSON.stringify(slots)}`,
    );
  }
  const from = loop.state().size;
  loop.enqueue({ type: 'scale', slots: Number(slots) });
  return { ok: true, from, to: Number(slots) };
}

async function reload(wait: boolean, options: CommandsOptions): Promise<Reply> {
  const { type } = options.loop.state().phase;
  if (type === 'leaving' || type === 'stopping') {
    throw new CofferdamError('COF_CONTROL_REFUSED', 'Cofferdam stops');
  }
  const restart = await options.reload();
  if (!wait) return { ok: true, restart, reloaded: null };
  // It is enqueued, and control has not heard of it yet.
  const epoch = options.loop.state().reloads + 1;
  return { ok: true, restart, reloaded: await options.waiters.waitForReload(epoch) };
}

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
