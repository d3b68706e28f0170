/** Asks a running instance over its control socket: one JSON line there, one JSON line back. */
import { connect, type Socket } from 'node:net';
import { createInterface, type Interface } from 'node:readline';
import type { Flags } from '../config/flags.ts';
import { readSetting } from '../config/load.ts';
import { controlSocketPaths, strangerAt } from '../config/paths.ts';
import type { ControlReplies, ControlRequest } from '../control/status.ts';
import { CofferdamError, ERRORS, type ErrorCode } from '../errors.ts';
import type { CommandContext } from './command.ts';

type ReplyTo<R extends ControlRequest> = ControlReplies[R['command']];

export interface AskOptions {
  /** How long the answer may take; null for work that takes as long as it takes. */
  readonly timeoutMs: number | null;
}

/** What a supervisor that is not stuck needs at most for an answer out of its head. */
export const ANSWER_TIMEOUT_MS = 5000;

/**
 * The answer to one request. Rejects with COF_NOT_RUNNING, or with the code of the refusal, or with
 * COF_CONTROL_REFUSED when the connection ends before the answer.
 */
export async function ask<R extends ControlRequest>(
  request: R,
  instance: Instance,
  { timeoutMs }: AskOptions,
): Promise<ReplyTo<R>> {
  const conversation = await converse(request, instance, timeoutMs);
  conversation.close();
  return conversation.reply;
}

/** Calls `onLine` with each line that follows the answer; resolves when either side closes. */
export async function follow(
  request: ControlRequest,
  instance: Instance,
  onLine: (line: string, close: () => void) => void,
): Promise<void> {
  const conversation = await converse(request, instance, ANSWER_TIMEOUT_MS);
  for await (const line of conversation.lines) onLine(line, conversation.close);
}

/** Which instance a client command means. */
export interface Instance {
  readonly name: string;
  readonly paths: readonly string[];
}

export async function findInstance(flags: Flags, context: CommandContext): Promise<Instance> {
  const { env, cwd } = context;
  const name = (await readSetting({ flags, env, cwd }, 'name')) as string;
  return { name, paths: controlSocketPaths(name, env) };
}

// --- internal ---

interface Conversation<R extends ControlRequest> {
  readonly reply: ReplyTo<R>;
  readonly lines: AsyncIterable<string>;
  readonly close: () => void;
}

async function converse<R extends ControlRequest>(
  request: R,
  instance: Instance,
  timeoutMs: number | null,
): Promise<Conversation<R>> {
  const socket = await connectTo(instance);
  const close = (): void => {
    socket.destroy();
  };
  const reader = createInterface({ input: socket, crlfDelay: Number.POSITIVE_INFINITY });
  // It notices an end of the input, but not a reset.
  socket.once('close', () => reader.close());
  const lines = reader[Symbol.asyncIterator]();
  socket.write(`${JSON.stringify(request)}\n`);
  try {
    const first = await within(timeoutMs, lines.next(), instance);
    if (first.done === true) throw refusal('the connection ended before the answer');
    return { reply: understand<R>(first.value), lines: rest(lines, reader), close };
  } catch (error) {
    close();
    throw error;
  }
}

async function* rest(lines: AsyncIterator<string>, reader: Interface): AsyncGenerator<string> {
  try {
    for (let next = await lines.next(); next.done !== true; next = await lines.next()) {
      yield next.value;
    }
  } finally {
    reader.close();
  }
}

async function connectTo({ name, paths }: Instance): Promise<Socket> {
  for (const path of paths) {
    const stranger = strangerAt(path);
    if (stranger !== null) throw refusal(stranger, 'Whoever made it could answer for Cofferdam.');
    const socket = await tryToConnect(path);
    if (socket !== null) return socket;
  }
  throw new CofferdamError('COF_NOT_RUNNING', `no running Cofferdam has the name "${name}"`, {
    hint:
      'Start one with `cofferdam serve`, or name it with --name ' +
      `(looked at ${paths.join(', ')}).`,
  });
}

/** Null when nobody listens there. */
function tryToConnect(path: string): Promise<Socket | null> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    socket.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EACCES' || error.code === 'EPERM') {
        reject(refusal(`${path} belongs to another user`));
      } else resolve(null);
    });
    socket.once('connect', () => {
      socket.removeAllListeners('error');
      // The end of the lines tells all there is to tell.
      socket.on('error', () => socket.destroy());
      resolve(socket);
    });
  });
}

async function within<T>(
  timeoutMs: number | null,
  promise: Promise<T>,
  { name }: Instance,
): Promise<T> {
  if (timeoutMs === null) return await promise;
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<never>((_, reject) => {
    const late = refusal(
      `"${name}" did not answer within ${timeoutMs / 1000}s`,
      'Is it suspended?',
    );
    timer = setTimeout(() => reject(late), timeoutMs);
  });
  try {
    return await Promise.race([promise, timeout]);
  } finally {
    clearTimeout(timer);
  }
}

function understand<R extends ControlRequest>(line: string): ReplyTo<R> {
  let reply: unknown;
  try {
    reply = JSON.parse(line);
  } catch {
    throw refusal('the answer is not JSON', 'Is it another version of Cofferdam?');
  }
  if (isRecord(reply) && reply['ok'] === true) return reply as unknown as ReplyTo<R>;
  const { code, message, hint } = isRecord(reply) ? reply : {};
  const text = typeof message === 'string' ? message : 'the command was refused without a reason';
  const known = isErrorCode(code) ? code : 'COF_CONTROL_REFUSED';
  throw new CofferdamError(known, text, typeof hint === 'string' ? { hint } : {});
}

function refusal(message: string, hint?: string): CofferdamError {
  return new CofferdamError('COF_CONTROL_REFUSED', message, hint === undefined ? {} : { hint });
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}

function isErrorCode(code: unknown): code is ErrorCode {
  return typeof code === 'string' && Object.hasOwn(ERRORS, code);
}
