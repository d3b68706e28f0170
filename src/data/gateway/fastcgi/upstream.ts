/**
 * A FastCGI worker as the gateway reaches it: one request at a time, over one connection that is
 * kept between requests. A kept connection pins php-cgi, so nobody else may share its socket.
 */
import { findSendfile, type Located, type Script } from '../script-path.ts';
import type { ForwardResult, Upstream, Visit, VisitSignal } from '../types.ts';
import type { AnswerHead, SendfileWish } from './answer-head.ts';
import { cut } from '../refuse.ts';
import { answerPlainly, copyHeaders } from './answer.ts';
import { cgiVariables } from './cgi-variables.ts';
import { openConnection, untilFree, type Connection } from './connection.ts';
import { exchange, type Outcome } from './exchange.ts';
import { encodeHead } from './record.ts';

export interface FastCgiOptions {
  readonly slot: number;
  readonly socketPath: string;
  /** Which script a target means; asked again after an internal redirect. */
  readonly locate: (target: string) => Located;
  /** X-Sendfile and X-Accel-Redirect are followed below these folders; none = never. */
  readonly sendfileRoots: readonly string[];
  /**
   * Sends a file with the headers that are on the response already (ranges and all); resolves with
   * the status once the answer is on its way.
   */
  readonly sendFile: (visit: Visit, file: Buffer) => Promise<number>;
  /** What a script answered is no answer: 502 for the client, the reason for the log. */
  readonly onBadAnswer: (message: BadAnswer) => void;
  readonly onStderr: (message: StderrMessage) => void;
  /**
   * How long a script may go on for a client that is gone, before its connection is closed (then
   * php ends it at its next output).
   */
  readonly abortGraceMs?: number;
}

export interface BadAnswer {
  readonly slot: number;
  readonly visit: Visit;
  /** The script, as a path of the site. */
  readonly script: string;
  readonly detail: string;
}

export interface StderrMessage {
  readonly slot: number;
  readonly visit: Visit;
  readonly text: string;
}

/** Long enough for nearly every page, so that its worker keeps its connection and its caches. */
export const ABORT_GRACE_MS = 5_000;

/** A script that redirects to itself would never end; lighttpd stops at five too. */
export const REDIRECTS_MAX = 5;

export function createFastCgiUpstream(options: FastCgiOptions): Upstream {
  return serveOver(options, () => openConnection(options.socketPath));
}

/** The upstream over connections from `open`, which is asked whenever there is none. */
export function serveOver(options: FastCgiOptions, open: () => Promise<Connection>): Upstream {
  let connection: Connection | null = null;
  let isBusy = false;
  let isReleased = false;
  let isDestroyed = false;
  /** It was left with a request of ours: only an answer proves that it is done with it. */
  let isInDoubt = false;

  function idle(kept: Connection): void {
    connection = kept;
    kept.listen({
      onParts: () => kept.close('the worker spoke without being asked'),
      onClosed: () => (connection = null),
    });
  }

  async function connectWorker(signal?: VisitSignal): Promise<Connection> {
    const made = connection ?? (await open());
    if (isDestroyed || signal?.aborted === true) made.close('nobody waits for it any more');
    connection = made;
    if (isInDoubt && made.isOpen && (await untilFree(made))) isInDoubt = false;
    if (!made.isOpen || isInDoubt) throw new Error('the worker closed the connection');
    return made;
  }

  /** A worker that runs a script for nobody is busy until it answers again. */
  async function awaitWorker(last: boolean): Promise<void> {
    try {
      const made = await connectWorker();
      if (last || isReleased) made.close('released');
      else idle(made);
    } catch {
      // It is gone, or destroyed; the next visit is told so.
      connection = null;
    }
  }

  /** Nearly always so: then nothing has to be waited for. */
  function hasReady(): boolean {
    return connection?.isOpen === true && !isInDoubt && !isDestroyed;
  }

  async function connectFor(visit: Visit): Promise<Connection | Outcome> {
    const giveUp = (): void => connection?.close('it took too long to be free');
    visit.signal.addEventListener('abort', giveUp);
    try {
      return await connectWorker(visit.signal);
    } catch (error) {
      connection = null;
      const detail = error instanceof Error ? error.message : String(error);
      return { type: visit.signal.aborted ? 'aborted' : 'unsent', detail };
    } finally {
      visit.signal.removeEventListener('abort', giveUp);
    }
  }

  async function talk(visit: Visit, request: Request): Promise<Outcome> {
    if (visit.signal.aborted) return { type: 'aborted', detail: 'it came too late' };
    const used = hasReady() ? connection! : await connectFor(visit);
    if ('type' in used) return used;
    const { outcome, isFree } = await exchange(used, {
      visit,
      head: request.head,
      hasBody: request.hasBody,
      abortGraceMs: options.abortGraceMs ?? ABORT_GRACE_MS,
      onStderr: (text) => options.onStderr({ slot: options.slot, visit, text }),
    });
    isInDoubt = !isFree;
    if (!request.keep || isReleased) used.close('it was the last request');
    if (used.isOpen) idle(used);
    else connection = null;
    const isAbandoned = outcome.type === 'aborted' && visit.signal.reason !== 'deadline';
    if (isInDoubt && isAbandoned && !isDestroyed) await awaitWorker(!request.keep);
    return outcome;
  }

  return {
    async forward(visit, { last }) {
      if (isBusy) return failed('unsent', 'the worker has a request already');
      isBusy = true;
      try {
        return await answerVisit(options, visit, last, talk);
      } finally {
        isBusy = false;
      }
    },
    release() {
      isReleased = true;
      if (!isBusy) connection?.close('released');
    },
    destroy() {
      isDestroyed = true;
      isReleased = true;
      connection?.close('destroyed');
    },
  };
}

// --- internal ---

interface Request {
  readonly head: Buffer;
  readonly hasBody: boolean;
  readonly keep: boolean;
}

type Talk = (visit: Visit, request: Request) => Promise<Outcome>;

async function answerVisit(
  options: FastCgiOptions,
  visit: Visit,
  last: boolean,
  talk: Talk,
): Promise<ForwardResult> {
  const refused = (status: number, text?: string): ForwardResult => {
    answerPlainly(visit, status, text);
    return { type: 'answered', status };
  };
  const bad = (script: string, detail: string): ForwardResult => {
    options.onBadAnswer({ slot: options.slot, visit, script, detail });
    return refused(502);
  };
  // CGI knows no body without a length; the front holds such bodies back until they have one.
  if (visit.body.length === null) return refused(411, 'Length required');
  let target = visit.target;
  let script = '';
  for (let redirects = 0; redirects <= REDIRECTS_MAX; redirects += 1) {
    const located = options.locate(target);
    if (located.type === 'refused') return refused(located.status, located.detail);
    if (located.type !== 'script') return refused(404, 'Not a script');
    script = located.script.name;
    const request = makeRequest(visit, target, located.script, { last, isRedirect: redirects > 0 });
    if (request === null) return refused(431, 'Request header fields too large');
    const outcome = await talk(visit, request);
    if (outcome.type === 'sendfile') return sendFile(options, visit, outcome, refused);
    if (outcome.type === 'malformed') return bad(script, outcome.detail);
    if (outcome.type !== 'redirect') return concluded(visit, outcome);
    target = outcome.target;
  }
  return bad(script, `more than ${REDIRECTS_MAX} internal redirects`);
}

function makeRequest(
  visit: Visit,
  target: string,
  script: Script,
  { last, isRedirect }: { readonly last: boolean; readonly isRedirect: boolean },
): Request | null {
  // The body belongs to the script that redirected; the next one is asked with GET (RFC 3875).
  const method = isRedirect && visit.method !== 'HEAD' ? 'GET' : visit.method;
  const bodyBytes = isRedirect ? 0 : (visit.body.length ?? 0);
  const hasBody = bodyBytes > 0;
  const variables = cgiVariables({ visit, script, method, target, bodyBytes });
  const head = encodeHead(variables, { keep: !last, hasBody });
  return head === null ? null : { head, hasBody, keep: !last };
}

async function sendFile(
  options: FastCgiOptions,
  visit: Visit,
  { wish, head }: { readonly wish: SendfileWish; readonly head: AnswerHead },
  refused: (status: number, detail: string) => ForwardResult,
): Promise<ForwardResult> {
  const file = findSendfile(wish, options.sendfileRoots);
  if (file === null) return refused(404, 'No such file');
  copyHeaders(head, visit);
  visit.response.removeHeader('content-length');
  return { type: 'answered', status: await options.sendFile(visit, file) };
}

type Conclusion = Exclude<Outcome, { type: 'sendfile' | 'malformed' | 'redirect' }>;

function concluded(visit: Visit, outcome: Conclusion): ForwardResult {
  if (outcome.type === 'whole') return { type: 'answered', status: outcome.status };
  const isCut =
    outcome.type === 'cut' || (outcome.type === 'aborted' && visit.response.headersSent);
  if (isCut) cut(visit.response);
  return failed(outcome.type, outcome.detail);
}

function failed(
  stage: Extract<ForwardResult, { type: 'failed' }>['stage'],
  detail: string,
): ForwardResult {
  return { type: 'failed', stage, detail };
}
