/** What became of the requests of a client: the same record for every kind of client. */

/**
 * Ways to fail, told apart because they have different causes:
 * - refused: nobody accepted the connection
 * - reset: the connection broke while an answer was owed
 * - timeout: the answer began and did not end, or the connection was never made
 * - hung: the request was sent and not one byte came back
 * - wrongBody: the answer was not the one to this request
 * - non2xx: a whole answer with another status
 * - other: none of these; always look at the notes
 */
export type FailureClass =
  | 'refused'
  | 'reset'
  | 'timeout'
  | 'hung'
  | 'wrongBody'
  | 'non2xx'
  | 'other';

export type Tally = Record<FailureClass, number> & {
  ok: number;
  /** HTTP/2 streams answered with REFUSED_STREAM: a client may retry them, so no failures. */
  refusedStream: number;
  /** Pipelined requests behind an answer with `Connection: close`: a client has to repeat them. */
  unansweredPipelined: number;
  /** The process ids that answered. */
  readonly workers: Set<number>;
  /** What the first failures looked like, for the message of a failing test. */
  readonly notes: string[];
};

const FAILURE_CLASSES: readonly FailureClass[] = [
  'refused',
  'reset',
  'timeout',
  'hung',
  'wrongBody',
  'non2xx',
  'other',
];

/** Enough to see the pattern; a broken run must not fill the memory with notes. */
const NOTES_LIMIT = 20;

export function emptyTally(): Tally {
  return {
    ok: 0,
    refused: 0,
    reset: 0,
    timeout: 0,
    hung: 0,
    wrongBody: 0,
    non2xx: 0,
    other: 0,
    refusedStream: 0,
    unansweredPipelined: 0,
    workers: new Set(),
    notes: [],
  };
}

/** Number of requests that failed; what a client may retry by the RFC is not among them. */
export function failuresOf(tally: Tally): number {
  return FAILURE_CLASSES.reduce((sum, name) => sum + tally[name], 0);
}

/** The failures by class, zeros included: `expect(failureClasses(tally)).toEqual(NO_FAILURES)`. */
export function failureClasses(tally: Tally): Record<FailureClass, number> & { notes: string[] } {
  const { refused, reset, timeout, hung, wrongBody, non2xx, other, notes } = tally;
  return { refused, reset, timeout, hung, wrongBody, non2xx, other, notes };
}

export const NO_FAILURES = failureClasses(emptyTally());

/** Adds the counts of one run to those of another. */
export function addTally(total: Tally, run: Tally): void {
  for (const name of FAILURE_CLASSES) total[name] += run[name];
  total.ok += run.ok;
  total.refusedStream += run.refusedStream;
  total.unansweredPipelined += run.unansweredPipelined;
  total.notes.push(...run.notes.slice(0, NOTES_LIMIT - total.notes.length));
  for (const worker of run.workers) total.workers.add(worker);
}

export function countFailure(tally: Tally, failure: FailureClass, note: string): void {
  tally[failure] += 1;
  if (tally.notes.length < NOTES_LIMIT) {
    tally.notes.push(`${new Date().toISOString().slice(11, 23)} ${failure}: ${note}`);
  }
}

export function countError(tally: Tally, error: unknown, note: string): void {
  const code = errorCode(error);
  countFailure(tally, classifyError(code), `${note}: ${code || String(error)}`);
}

/** A failure that the client itself found out about, e.g. no answer in time. */
export class ClientFailure extends Error {
  readonly code: string;
  constructor(failure: FailureClass, message: string) {
    super(message);
    this.code = `CLIENT_${failure}`;
  }
}

// --- internal ---

/** fetch and undici wrap the socket's error once or twice; a dual-stack connect gives several. */
function errorCode(error: unknown): string {
  let current: unknown = error;
  for (let depth = 0; depth < 4 && current instanceof Error; depth += 1) {
    const { code } = current as { code?: unknown };
    if (typeof code === 'string') return code;
    current = current instanceof AggregateError ? current.errors[0] : current.cause;
  }
  return '';
}

function classifyError(code: string): FailureClass {
  if (code.startsWith('CLIENT_')) return code.slice('CLIENT_'.length) as FailureClass;
  return ERROR_CLASSES[code] ?? 'other';
}

const ERROR_CLASSES: Readonly<Record<string, FailureClass>> = {
  ECONNREFUSED: 'refused',
  ENOENT: 'refused',
  ECONNRESET: 'reset',
  EPIPE: 'reset',
  ECONNABORTED: 'reset',
  UND_ERR_SOCKET: 'reset',
  ERR_STREAM_PREMATURE_CLOSE: 'reset',
  ERR_HTTP2_STREAM_CANCEL: 'reset',
  ERR_HTTP2_SESSION_ERROR: 'reset',
  ERR_HTTP2_STREAM_ERROR: 'reset',
  ETIMEDOUT: 'timeout',
  UND_ERR_CONNECT_TIMEOUT: 'timeout',
  UND_ERR_BODY_TIMEOUT: 'timeout',
  UND_ERR_HEADERS_TIMEOUT: 'hung',
  HPE_INVALID_CONSTANT: 'wrongBody',
};
