/**
 * What comes from a worker is input: the user's code runs in the same process, and can write to the
 * same channel. It is checked field by field here, so that nothing behind has to doubt it.
 */
import {
  ANSWER_CLASSES,
  DURATION_BOUNDS_MS,
  MESSAGE_COMMAND,
  type WorkerMessage,
} from '../protocol.ts';

/** The message of an envelope of ours; null where it is none, or not one that an agent sends. */
export function readWorkerMessage(envelope: unknown): WorkerMessage | null {
  if (!isRecord(envelope)) return null;
  const type = envelope['type'];
  if (typeof type !== 'string' || !Object.hasOwn(FORMS, type)) return null;
  return FORMS[type as WorkerMessage['type']](envelope)
    ? (envelope as unknown as WorkerMessage)
    : null;
}

/** Whether it is one of ours at all: an app may have messages of its own. */
export function isOurs(envelope: unknown): boolean {
  return isRecord(envelope) && envelope['cmd'] === MESSAGE_COMMAND;
}

// --- internal ---

type Fields = Readonly<Record<string, unknown>>;
type Check = (value: unknown) => boolean;

/** A path, a target, an error of the system; what is longer was not sent by the agent. */
const TEXT_CHARS_MAX = 64 * 1024;

const isRecord = (value: unknown): value is Fields => typeof value === 'object' && value !== null;
const isText: Check = (value) => typeof value === 'string' && value.length <= TEXT_CHARS_MAX;
const isBoolean: Check = (value) => typeof value === 'boolean';
const isAmount: Check = (value) =>
  typeof value === 'number' && value >= 0 && value <= Number.MAX_SAFE_INTEGER;
const isCount: Check = (value) => isAmount(value) && Number.isInteger(value);
const isPort: Check = (value) => isCount(value) && Number(value) <= 65_535;
const isStatus: Check = (value) => value === null || (isCount(value) && Number(value) <= 999);

const oneOf =
  (...words: readonly string[]): Check =>
  (value) =>
    words.includes(value as string);
const maybe =
  (check: Check): Check =>
  (value) =>
    value === undefined || check(value);
const counts =
  (length: number): Check =>
  (value) =>
    Array.isArray(value) && value.length === length && value.every(isCount);
const form =
  (checks: Readonly<Record<string, Check>>): Check =>
  (value) =>
    isRecord(value) && Object.entries(checks).every(([name, check]) => check(value[name]));

const isAddress: Check = (value) =>
  form({ kind: oneOf('tcp'), host: isText, port: isPort })(value) ||
  form({ kind: oneOf('unix'), path: isText })(value);

const isReport = form({
  requests: isCount,
  inFlight: isCount,
  longLived: isCount,
  connections: isCount,
  heapUsedBytes: isAmount,
  eventLoopUtilization: (value) => isAmount(value) && Number(value) <= 1,
});

const isMeasures = form({
  answers: counts(ANSWER_CLASSES.length),
  durations: counts(DURATION_BOUNDS_MS.length + 1),
  durationSumMs: isAmount,
  minorGcMs: isAmount,
  majorGcMs: isAmount,
  externalBytes: isAmount,
  eventLoopLagMs: isAmount,
});

const late = form({
  method: isText,
  target: isText,
  script: (value) => value === null || isText(value),
  tookMs: isAmount,
});

const FORMS: Readonly<Record<WorkerMessage['type'], Check>> = {
  hello: form({ handover: isBoolean, node: isText }),
  listening: form({
    key: isText,
    address: isAddress,
    inherited: isBoolean,
    activated: maybe(isText),
    scheme: oneOf('http', 'https', 'http2', 'tcp'),
    secure: isBoolean,
  }),
  listen_failed: form({ key: isText, code: isText, message: isText }),
  warm: form({ status: isStatus, message: isText }),
  report: form({ report: isReport, measures: isMeasures, early: maybe(isBoolean) }),
  connection: form({ key: isText, id: isCount, fresh: isBoolean }),
  adopted: form({ id: isCount, ok: isBoolean }),
  answer: form({ id: isCount, status: isStatus, kind: isText, body: isText }),
  healed: form({ tookMs: isAmount }),
  slow: late,
  overdue: late,
  drained: form({
    result: form({ moved: isCount, cutRequests: isCount, cutLongLived: isCount }),
  }),
};
