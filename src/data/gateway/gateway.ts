/** The gateway, wired: front → (files) → queue → workers, and what the supervisor says of them. */
import { tmpdir } from 'node:os';
import { holdBody, NO_BODY, streamBody, type GatewayBody } from './body.ts';
import { followCertificate, readCertificate } from './certificate.ts';
import {
  addWorker,
  cutWorker,
  drainWorker,
  forgetWorker,
  noteFreed,
  noteSettled,
  reportWorkers,
  suspectWorker,
  type Crew,
  type WorkerOrder,
} from './crew.ts';
import { createDispatch, pump, submit } from './dispatch.ts';
import { createDoor } from './door.ts';
import { loadFiles, sendFile } from './files.ts';
import { createFront, createSecureFront, type Arrival, type Front } from './front.ts';
import { createJob, type Job } from './job.ts';
import type { FromGateway, GatewayBrief, GatewaySettings, ToGateway } from './messages.ts';
import { countRejection, createQueueBook, reportQueue } from './queue-book.ts';
import { announcedLength, refuse, type AnyRequest } from './refuse.ts';
import { createReport, type Report } from './report.ts';
import { createRotation } from './rotation.ts';
import { createAbort, type Abort } from './signal.ts';
import { createSlowReaders, type SlowReaders } from './slow-readers.ts';
import type { Upstream, VisitorFacts } from './types.ts';
import { createTrust, isTrustless, readVisitor, type Trust } from './visitor.ts';

export interface Gateway {
  readonly front: Front;
  hear(message: ToGateway): void;
  /** Something threw of which nobody knows whose request it was. */
  readonly fault: (error: unknown) => void;
  /** Tells the supervisor how it stands, and looks after its clients; to be called each second. */
  report(): void;
}

export interface GatewayParts {
  readonly tell: (message: FromGateway) => void;
  readonly createUpstream: (order: WorkerOrder, context: UpstreamContext) => Upstream;
  /** What a target means on the disk; asked only where there is a root. */
  readonly locate: (target: string, settings: GatewaySettings) => Place;
}

export interface UpstreamContext {
  readonly settings: () => GatewaySettings;
  readonly report: Report;
}

/** `script`: it goes to a worker. */
export type Place =
  | { readonly type: 'script'; readonly script: { readonly file: string } }
  | { readonly type: 'file'; readonly file: Buffer }
  | { readonly type: 'redirect'; readonly location: string }
  | { readonly type: 'refused'; readonly status: number };

/** Throws when the certificate cannot be used; the front does not listen yet. */
export async function createGateway(brief: GatewayBrief, parts: GatewayParts): Promise<Gateway> {
  const { tell } = parts;
  const report = createReport(tell);
  const book = createQueueBook();
  const rotation = createRotation<Job>();
  let { settings } = brief;
  let trust = createTrust(settings.trustedProxies);

  const crew: Crew = {
    rotation,
    tell,
    dispatch: () => dispatch,
    door: () => door,
    createUpstream: (order) => parts.createUpstream(order, { settings: () => settings, report }),
  };
  const slowReaders = createSlowReaders();
  const dispatch = createDispatch({
    rotation,
    book,
    report,
    tell,
    settings: () => settings,
    scriptOf: (target) => scriptOf(parts.locate, target, settings),
    suspect: (member) => suspectWorker(crew, member),
    settled: (member) => noteSettled(crew, member),
    freed: (member) => noteFreed(crew, member),
  });
  const door = createDoor((job) => submit(dispatch, job));
  const handlers = {
    arrive: (arrival: Arrival): void => {
      const { locate } = parts;
      receive(arrival, {
        locate,
        settings,
        trust,
        report,
        slowReaders,
        submit: (job) => submit(dispatch, job),
      });
    },
    refused: () => countRejection(book, 'bad_request'),
    failed: ({ method, url = '' }: AnyRequest, error: unknown) =>
      report.faulted({ method, target: url }, error),
  };
  const front = await openFront(brief, handlers);
  if (settings.root !== null) await loadFiles();
  if (brief.tls !== null) {
    followCertificate(brief.tls, front as Parameters<typeof followCertificate>[1], report);
  }
  const cutSlowReaders = (): void =>
    slowReaders.look(settings.sendTimeoutMs, ({ req: { method, url = '' } }) => {
      report.say('info', 'client_too_slow', { method: method ?? '', target: url });
    });
  const configure = (next: GatewaySettings): void => {
    settings = next;
    trust = createTrust(next.trustedProxies);
    pump(dispatch);
  };
  return {
    front,
    hear: (message) => {
      if (message.type === 'configure') configure(message.settings);
      else if (message.type === 'ask') void answerAsk(message, door, tell);
      else obey(crew, message);
    },
    fault: (error) => report.broken(error),
    report: () => {
      cutSlowReaders();
      reportWorkers(crew);
      tell({ type: 'queue', queue: reportQueue(book, dispatch.queue.size, settings.queueLength) });
    },
  };
}

// --- internal ---

async function openFront(
  { tls, settings }: GatewayBrief,
  handlers: Parameters<typeof createFront>[0],
): Promise<Front> {
  const options = { upgrades: settings.kind === 'http' };
  if (tls === null) return createFront(handlers, options);
  return createSecureFront(await readCertificate(tls), handlers, options);
}

function obey(crew: Crew, message: Exclude<ToGateway, { type: 'configure' | 'ask' }>): void {
  switch (message.type) {
    case 'worker':
      return addWorker(crew, message);
    case 'drain':
      return drainWorker(crew, message.worker);
    case 'cut':
      return cutWorker(crew, message.worker, message.scope);
    case 'gone':
      return forgetWorker(crew, message.worker);
  }
}

async function answerAsk(
  { id, worker, path, timeoutMs }: ToGateway & { type: 'ask' },
  door: ReturnType<typeof createDoor>,
  tell: (message: FromGateway) => void,
): Promise<void> {
  tell({ type: 'answer', id, ...(await door.ask({ worker, path, timeoutMs })) });
}

interface Reception {
  readonly settings: GatewaySettings;
  readonly trust: Trust;
  readonly locate: GatewayParts['locate'];
  readonly report: Report;
  readonly slowReaders: SlowReaders;
  readonly submit: (job: Job) => void;
}

/** Files need no worker; everything else becomes a job as soon as its body can be had. */
function receive(arrival: Arrival, reception: Reception): void {
  const { settings } = reception;
  const { request, response } = arrival;
  const ending = createAbort();
  reception.slowReaders.watch(response);
  response.once('close', () => {
    if (!response.writableEnded) ending.abort('client_gone');
  });
  if ((announcedLength(request) ?? 0) > settings.bodyLimitBytes) {
    return refuse(request, response, 413);
  }
  if (settings.root !== null && isFile(arrival, reception)) return;
  if (settings.kind === 'http') {
    const body = streamBody(request, response, settings, arrival.continues);
    return accept(arrival, reception, ending, body);
  }
  if (announcedLength(request) === 0) return accept(arrival, reception, ending, NO_BODY);
  const unkept = ({ message: detail }: Error): void =>
    reception.report.say('error', 'body_not_kept', { folder: tmpdir(), detail });
  holdBody(request, response, { ...settings, unkept }, arrival.continues).then(
    (body) => accept(arrival, reception, ending, body),
    // The client broke off.
    () => undefined,
  );
}

/** From a request to a job: who sent it, its lane. */
function accept(arrival: Arrival, reception: Reception, ending: Abort, body: GatewayBody): void {
  const { request, response, target, host, tunnel } = arrival;
  const fault = body.fault();
  if (fault !== null) return refuse(request, response, fault);
  const visitor = visitorOf(request, host, reception.trust);
  const lane = isProbe(target, reception.settings.probePath) ? 'probe' : 'normal';
  reception.submit(createJob({ request, response, target, visitor, body, lane, ending, tunnel }));
}

/**
 * Most clients ask the same host all the time: what is known of a connection is read once. (With
 * proxies that we trust, each request can be another visitor's.)
 */
function visitorOf(request: Arrival['request'], host: string, trust: Trust): VisitorFacts {
  const { socket } = request;
  const known = visitors.get(socket);
  if (known !== undefined && known.host === host && isTrustless(trust)) return known;
  const { remoteAddress, remotePort, localAddress, localPort } = socket;
  const encrypted = 'encrypted' in socket;
  const peer = { remoteAddress, remotePort, localAddress, localPort, encrypted };
  const visitor = readVisitor(peer, request.headers, host, trust);
  visitors.set(socket, visitor);
  return visitor;
}

const visitors = new WeakMap<Arrival['request']['socket'], VisitorFacts>();

/** Whether the files had an answer. An app of its own kind gets all that is no file. */
function isFile({ request, response, target }: Arrival, { settings, locate }: Reception): boolean {
  const isRead = request.method === 'GET' || request.method === 'HEAD';
  if (settings.kind === 'http' && !isRead) return false;
  const place = locate(target, settings);
  if (place.type === 'file' && !isRead) {
    response.setHeader('allow', 'GET, HEAD');
    refuse(request, response, 405);
    return true;
  }
  if (place.type === 'file') {
    sendFile({ request, response }, place.file).catch(() => refuse(request, response, 500));
    return true;
  }
  if (place.type === 'script' || settings.kind === 'http') return false;
  if (place.type === 'redirect') response.setHeader('location', place.location);
  refuse(request, response, place.type === 'redirect' ? 301 : place.status);
  return true;
}

/** For the log: which script a request was stuck in; null where there are none. */
function scriptOf(
  locate: GatewayParts['locate'],
  target: string,
  settings: GatewaySettings,
): string | null {
  if (settings.kind === 'http') return null;
  const place = locate(target, settings);
  return place.type === 'script' ? Buffer.from(place.script.file, 'latin1').toString() : null;
}

function isProbe(target: string, probePath: string | null): boolean {
  return probePath !== null && (target === probePath || target.startsWith(`${probePath}?`));
}
