/** A real php-cgi under our upstream, and the clients that ask it. */
import { spawn } from 'node:child_process';
import { chmodSync, existsSync } from 'node:fs';
import { request as ask } from 'node:http';
import { connect } from 'node:net';
import { beforeEach, onTestFinished } from 'vitest';
import {
  phpCgiCommand,
  phpSocketPath,
  type PhpLayout,
} from '../../src/data/gateway/fastcgi/php-cgi.ts';
import {
  createFastCgiUpstream,
  type FastCgiOptions,
  type StderrMessage,
} from '../../src/data/gateway/fastcgi/upstream.ts';
import { locate, type Site } from '../../src/data/gateway/script-path.ts';
import type { ForwardResult, Upstream, Visit } from '../../src/data/gateway/types.ts';
import { APPS_FOLDER, killTree, waitUntil } from '../support/processes.ts';
import { scratchFolder } from '../support/scratch.ts';
import { lacks } from '../support/tools.ts';
import { serveVisits, type VisitServer } from './visit.ts';

export const SITE: Site = {
  root: `${APPS_FOLDER}php`,
  extensions: ['.php'],
  index: 'index.php',
  frontController: null,
};

/** At the top of a file: skips its tests, and says why, where there is no php-cgi. */
export function needPhp(): void {
  const isMissing = lacks('php-cgi');
  beforeEach(({ skip }) => skip(isMissing));
}

export interface PhpProcess {
  readonly pid: number;
  readonly socketPath: string;
  readonly folder: string;
}

/** Ends with the test. */
export async function startPhp(
  layout: PhpLayout = { type: 'isolated' },
  parentEnv: Readonly<Record<string, string | undefined>> = { PATH: process.env['PATH'] },
): Promise<PhpProcess> {
  const folder = scratchFolder();
  chmodSync(folder, 0o700);
  const socketPath = phpSocketPath(folder, 'php') ?? '';
  const { file, args, env } = phpCgiCommand({
    binary: 'php-cgi',
    layout,
    socketPath,
    ini: {},
    parentEnv,
    extraEnv: {},
  });
  const child = spawn(file, args, { env: { ...env }, detached: true, stdio: 'ignore' });
  const pid = child.pid ?? 0;
  onTestFinished(() => killTree(pid));
  await waitUntil('php-cgi listens', () => existsSync(socketPath) && accepts(socketPath));
  return { pid, socketPath, folder };
}

export interface PhpServer extends VisitServer {
  readonly upstream: Upstream;
  readonly stderr: StderrMessage[];
}

export interface ServeOptions {
  readonly upstream?: Partial<FastCgiOptions>;
  readonly site?: Partial<Site>;
  readonly last?: () => boolean;
  readonly change?: (visit: Visit) => Visit;
  readonly protocol?: 'http1' | 'http2';
}

/** Our upstream over that socket behind a real HTTP server; one visit at a time, others wait. */
export async function serveUpstream(
  socketPath: string,
  given: ServeOptions = {},
): Promise<PhpServer> {
  const stderr: StderrMessage[] = [];
  const upstream = createFastCgiUpstream(upstreamOptions(socketPath, stderr, given));
  onTestFinished(() => upstream.destroy());
  const server = await serveVisits(oneByOne(upstream, given.last), given.change, given.protocol);
  return { ...server, upstream, stderr };
}

export function upstreamOptions(
  socketPath: string,
  stderr: StderrMessage[],
  { site, upstream }: ServeOptions = {},
): FastCgiOptions {
  const whole = { ...SITE, ...site };
  return {
    slot: 3,
    socketPath,
    locate: (target) => locate(whole, target),
    sendfileRoots: [],
    sendFile: () => Promise.reject(new Error('no file was to be sent')),
    onStderr: (message) => stderr.push(message),
    onBadAnswer: () => undefined,
    ...upstream,
  };
}

/** The queue of the gateway, in three lines. */
export function oneByOne(
  upstream: Upstream,
  last: () => boolean = () => false,
): (visit: Visit) => Promise<ForwardResult> {
  let before: Promise<unknown> = Promise.resolve();
  return (visit) => {
    const result = before.then(() => upstream.forward(visit, { last: last() }));
    before = result;
    return result;
  };
}

export interface Reply {
  readonly status: number;
  readonly headers: NodeJS.Dict<string | string[]>;
  readonly body: string;
}

/** One request on a connection of its own; rejects when the answer is cut. */
export function get(
  { port }: { readonly port: number },
  path: string,
  options: { method?: string; headers?: Record<string, string | string[]>; body?: Buffer } = {},
): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const { method = 'GET', headers = {}, body } = options;
    const sent = ask({ port, path, method, headers, agent: false, host: '127.0.0.1' }, (answer) => {
      const chunks: Buffer[] = [];
      answer.on('data', (chunk: Buffer) => chunks.push(chunk));
      answer.on('error', reject);
      answer.on('end', () => {
        const text = Buffer.concat(chunks).toString('latin1');
        resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body: text });
      });
    });
    sent.on('error', reject);
    sent.end(body);
  });
}

/** `$_SERVER` as a script saw it. */
export async function serverVariables(
  server: { readonly port: number },
  path: string,
  headers: Record<string, string | string[]> = {},
): Promise<Record<string, string | undefined>> {
  const { body } = await get(server, path, { headers });
  return JSON.parse(body) as Record<string, string | undefined>;
}

// --- internal ---

function accepts(socketPath: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(socketPath);
    const done = (is: boolean): void => {
      socket.destroy();
      resolve(is);
    };
    socket.once('connect', () => done(true));
    socket.once('error', () => done(false));
  });
}
