/** One request over one connection: what goes in, what comes out, and how it is left behind. */
import { contain, messageOf } from '../fault.ts';
import type { Visit, VisitSignal } from '../types.ts';
import { openAnswer, type Answer, type Verdict } from './answer.ts';
import type { Connection } from './connection.ts';
import type { RecordPart } from './record-decoder.ts';
import { createStderrReader } from './stderr.ts';
import { sendBody } from './upload.ts';

export interface ExchangeOptions {
  readonly visit: Visit;
  /** BEGIN_REQUEST to the end of PARAMS. */
  readonly head: Buffer;
  /** The body follows; else `head` holds its end. */
  readonly hasBody: boolean;
  /** How long a script may go on for a client that is gone. */
  readonly abortGraceMs: number;
  readonly onStderr: (text: string) => void;
}

export type Outcome =
  | Verdict
  /** Nothing of the request arrived there, or it was refused untouched. */
  | { readonly type: 'unsent'; readonly detail: string }
  /** The worker ended, or stopped making sense. */
  | { readonly type: 'unanswered'; readonly detail: string }
  | { readonly type: 'aborted'; readonly detail: string }
  /** Not the worker's: ours. */
  | { readonly type: 'fault'; readonly detail: string };

export interface ExchangeEnd {
  readonly outcome: Outcome;
  /** END_REQUEST came: the worker has nothing of ours any more. */
  readonly isFree: boolean;
}

/** Never rejects. The connection is closed unless it may be used again. */
export function exchange(connection: Connection, options: ExchangeOptions): Promise<ExchangeEnd> {
  return new Promise((resolve) => run(connection, options, resolve));
}

// --- internal ---

function run(
  connection: Connection,
  { visit, head, hasBody, abortGraceMs, onStderr }: ExchangeOptions,
  resolve: (end: ExchangeEnd) => void,
): void {
  const { signal } = visit;
  const stderr = createStderrReader(onStderr);
  const answer = openAnswer(visit, () => connection.resume());
  let isDelivered = false;
  let isUploading = hasBody;
  let isGone = false;
  let isOver = false;
  let grace: NodeJS.Timeout | undefined;

  function end(outcome: Outcome, isFree: boolean): void {
    if (isOver) return;
    isOver = true;
    clearTimeout(grace);
    signal.removeEventListener('abort', onAbort);
    stderr.end();
    // Who leaves before the whole body was read would find the rest of it in front of the next one.
    const isClean = isFree && !isUploading;
    connection.resume();
    if (!isClean) connection.close('it was not to be used again');
    resolve({ outcome, isFree });
  }

  function onEnd(part: RecordPart & { readonly type: 'end' }): void {
    if (isGone) return end({ type: 'aborted', detail: 'the client is gone' }, true);
    if (!part.isTaken && !answer.hasBegun()) {
      return end({ type: 'unsent', detail: 'the worker refused the request' }, true);
    }
    end(answer.finish(), true);
  }

  function onParts(parts: readonly RecordPart[]): void {
    for (const part of parts) {
      if (part.type === 'stderr') stderr.push(part.content, part.isLast);
      if (part.type === 'stdout' && !isGone) answer.push(part.content);
      if (part.type === 'end') return onEnd(part);
    }
    if (!isGone && !answer.flush()) connection.pause();
  }

  function onAbort(): void {
    if (signal.reason === 'deadline') {
      return end({ type: 'aborted', detail: 'it took too long' }, false);
    }
    isGone = true;
    // A worker that waits for a client that is gone would wait for ever.
    connection.resume();
    startGrace();
  }

  /** Closing amid the body would run the script with a part of it. */
  function startGrace(): void {
    if (!isGone || isUploading || isOver) return;
    grace = setTimeout(() => {
      end({ type: 'aborted', detail: 'the client is gone' }, false);
    }, abortGraceMs);
  }

  function onUploaded(fault: string | null): void {
    isUploading = fault !== null;
    if (fault === null) startGrace();
    else if (connection.isOpen) end(brokenOff(visit, answer, fault), false);
  }

  const fault = (error: unknown): void => end({ type: 'fault', detail: messageOf(error) }, false);
  if (signal.aborted) return abandon(signal, connection, resolve);
  signal.addEventListener('abort', onAbort);
  connection.listen({
    onParts: contain(fault, onParts),
    onClosed: contain(fault, (detail) => {
      const outcome: Outcome = isGone
        ? { type: 'aborted', detail: 'the client is gone' }
        : isDelivered
          ? brokenOff(visit, answer, detail)
          : { type: 'unsent', detail };
      end(outcome, false);
    }),
  });
  connection.send([head], () => (isDelivered = true));
  if (hasBody) void sendBody(connection, visit.body).then(onUploaded);
}

/** The connection has seen nothing of this request: it stays as it is. */
function abandon(
  signal: VisitSignal,
  connection: Connection,
  resolve: (end: ExchangeEnd) => void,
): void {
  const detail = signal.reason === 'deadline' ? 'it took too long' : 'the client is gone';
  resolve({ outcome: { type: 'aborted', detail }, isFree: connection.isOpen });
}

function brokenOff({ response }: Visit, answer: Answer, detail: string): Outcome {
  const what = answer.hasBegun() ? `${detail}, in the middle of its answer` : detail;
  return { type: response.headersSent ? 'cut' : 'unanswered', detail: what };
}
