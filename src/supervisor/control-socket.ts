/**
 * The control socket: a unix socket, mode 0600, one JSON line in, one JSON line out. Whatever comes
 * in, nothing stops: every line, every client and every queue has a bound.
 */
import { chmodSync, unlinkSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { ensureSocketFolder } from '../config/paths.ts';
import { CofferdamError } from '../errors.ts';

export type Reply = Readonly<Record<string, unknown>> & { readonly ok: boolean };

export interface ControlHandler {
  /** Resolves to the reply; a CofferdamError becomes `{ok: false, code, message}`. */
  handle(command: string, parameters: Readonly<Record<string, unknown>>): Promise<Reply>;
}

export interface ControlSocket {
  /** Sends an event to every client that asked for `events`. */
  publish(event: Readonly<Record<string, unknown>>): void;
  close(): void;
}

/** A command is a few words; more is garbage. */
const LINE_BYTES_MAX = 4096;
/** Commands that came while one is worked on: what Node reads at once, and as much again. */
const WAITING_BYTES_MAX = 128 * 1024;
/** A person and a few scripts; more is a client that loops. */
const CLIENTS_MAX = 32;
/** A client that does not read what it asked for is dropped at this backlog. */
const BACKLOG_BYTES_MAX = 256 * 1024;

/**
 * Rejects with COF_ALREADY_RUNNING when another supervisor answers there; a stale file is
 * replaced.
 */
export async function openControlSocket(
  path: string,
  handler: ControlHandler,
): Promise<ControlSocket> {
  ensureSocketFolder(path);
  await removeStale(path);
  const clients = new Set<Socket>();
  const followers = new Set<Socket>();
  const server = createServer((socket) => {
    if (clients.size >= CLIENTS_MAX) makeRoom(clients, followers);
    clients.add(socket);
    socket.on('close', () => {
      clients.delete(socket);
      followers.delete(socket);
    });
    socket.on('error', () => socket.destroy());
    readCommands(socket, handler, () => followers.add(socket));
  });
  await listen(server, path);
  chmodSync(path, 0o600);
  return {
    publish(event) {
      if (followers.size === 0) return;
      const line = `${JSON.stringify(event)}\n`;
      for (const socket of followers) {
        if (socket.writableLength > BACKLOG_BYTES_MAX) socket.destroy();
        else socket.write(line);
      }
    },
    close() {
      server.close();
      for (const socket of clients) socket.end();
      // A client that never reads must not hold the supervisor.
      setImmediate(() => {
        for (const socket of clients) socket.destroy();
      });
    },
  };
}

// --- internal ---

function listen(server: ReturnType<typeof createServer>, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, () => {
      server.off('error', reject);
      server.on('error', () => {});
      resolve();
    });
  });
}

/** A socket file that nobody answers on was left by a supervisor that was killed. */
async function removeStale(path: string): Promise<void> {
  const answered = await new Promise<boolean>((resolve) => {
    const probe = connect(path);
    probe.once('connect', () => {
      probe.destroy();
      resolve(true);
    });
    probe.once('error', () => resolve(false));
  });
  if (answered) {
    throw new CofferdamError('COF_ALREADY_RUNNING', `another Cofferdam answers on ${path}`);
  }
  try {
    unlinkSync(path);
  } catch {
    // There was none.
  }
}

/** One command after the other: those that wait cost their text, and not their answers. */
function readCommands(socket: Socket, handler: ControlHandler, follow: () => void): void {
  let buffered = '';
  let isBusy = false;
  const work = async (): Promise<void> => {
    isBusy = true;
    for (let end = buffered.indexOf('\n'); end !== -1; end = buffered.indexOf('\n')) {
      const line = buffered.slice(0, end);
      buffered = buffered.slice(end + 1);
      await answer(socket, line, handler, follow);
    }
    isBusy = false;
    if (buffered.length > LINE_BYTES_MAX) socket.destroy();
  };
  socket.setEncoding('utf8');
  socket.on('data', (text: string) => {
    buffered += text;
    if (!isBusy) void work();
    else if (buffered.length > WAITING_BYTES_MAX) socket.destroy();
  });
}

/** Whoever says nothing for longest goes; one that follows events may be silent for good. */
function makeRoom(clients: Set<Socket>, followers: ReadonlySet<Socket>): void {
  const all = [...clients];
  const oldest = all.find((socket) => !followers.has(socket)) ?? all[0];
  if (oldest === undefined) return;
  // At once: its 'close' comes later than the next client may.
  clients.delete(oldest);
  oldest.destroy();
}

async function answer(
  socket: Socket,
  line: string,
  handler: ControlHandler,
  follow: () => void,
): Promise<void> {
  if (socket.writableLength > BACKLOG_BYTES_MAX) socket.destroy();
  if (socket.destroyed) return;
  const reply = await replyTo(line, handler);
  if (socket.destroyed) return;
  socket.write(`${JSON.stringify(reply)}\n`);
  if (reply.ok && reply['follow'] === true) follow();
}

async function replyTo(line: string, handler: ControlHandler): Promise<Reply> {
  try {
    const request = parseRequest(line);
    return await handler.handle(request.command, request.parameters);
  } catch (error) {
    if (error instanceof CofferdamError) {
      return { ok: false, code: error.code, message: error.message, hint: error.hint };
    }
    return { ok: false, code: 'COF_INTERNAL', message: String(error) };
  }
}

function parseRequest(line: string): {
  command: string;
  parameters: Readonly<Record<string, unknown>>;
} {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (cause) {
    throw new CofferdamError('COF_USAGE', 'the control socket takes one JSON object per line', {
      cause,
    });
  }
  const record = typeof value === 'object' && value !== null ? value : {};
  if (!('command' in record) || typeof record.command !== 'string') {
    throw new CofferdamError('COF_USAGE', 'a command needs a "command" of type string');
  }
  return { command: record.command, parameters: { ...record } };
}
