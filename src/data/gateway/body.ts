/**
 * Bodies of requests: streamed to workers that can stream, held back (in memory, then in a file)
 * for those that need the length first and must not wait for a slow client.
 */
import { Readable, Transform } from 'node:stream';
import type { GatewaySettings } from './messages.ts';
import { announcedLength, inviteBody, type AnyRequest, type AnyResponse } from './refuse.ts';
import { createSpool, type Spool } from './spool.ts';
import type { VisitBody } from './types.ts';

/** Why a body cannot be had: too large, too slow, no room to keep it. */
export type BodyFault = 413 | 408 | 507;

export interface GatewayBody extends VisitBody {
  /** Whether a byte of it may be gone: what streams can be sent only once. */
  readonly wasOpened: () => boolean;
  readonly fault: () => BodyFault | null;
  /** Gives memory and files back; safe to call twice. */
  dispose(): void;
}

export type Limits = Pick<GatewaySettings, 'bodyLimitBytes' | 'spoolAboveBytes'>;

/** A body slower than this, after its first `graceMs`, is an attack (slowloris). */
export interface Pace {
  readonly bytesPerS: number;
  readonly graceMs: number;
  /** How often it is looked after. */
  readonly checkMs: number;
}

/** Slower than any modem; and a client that pauses has as long as nginx gives it by default. */
export const PACE: Pace = { bytesPerS: 500, graceMs: 20_000, checkMs: 1000 };

export const NO_BODY: GatewayBody = {
  length: 0,
  open: () => Readable.from([], { objectMode: false }),
  replayable: true,
  wasOpened: () => false,
  fault: () => null,
  dispose: () => undefined,
};

/** Passes the body on as it comes; `continues`: the client waits for `100 Continue` first. */
export function streamBody(
  request: AnyRequest,
  response: AnyResponse,
  limits: Limits,
  continues: boolean,
  pace = PACE,
): GatewayBody {
  const length = announcedLength(request);
  if (length === 0) return NO_BODY;
  let opened = false;
  let meter: Meter | null = null;
  const open = (): Readable => {
    if (opened) throw new Error('a body that streams can be opened only once');
    opened = true;
    if (continues) inviteBody(response);
    meter = openMeter(request, limits.bodyLimitBytes, pace);
    return meter.stream;
  };
  return {
    length,
    open,
    replayable: false,
    wasOpened: () => opened,
    fault: () => meter?.fault ?? null,
    dispose: () => meter?.stop(),
  };
}

/**
 * Reads the whole body before anybody gets it; rejects when the client breaks off. `limits` also
 * hears why a body could not be kept (a full disk).
 */
export async function holdBody(
  request: AnyRequest,
  response: AnyResponse,
  limits: Limits & { unkept(error: Error): void },
  continues: boolean,
  pace = PACE,
): Promise<GatewayBody> {
  if (announcedLength(request) === 0) return NO_BODY;
  if (continues) inviteBody(response);
  const spool = createSpool(limits.spoolAboveBytes);
  try {
    const fault = await readAll(request, spool, limits, pace);
    if (fault === null) return heldBody(spool);
    spool.dispose();
    return faultyBody(fault);
  } catch (error) {
    spool.dispose();
    throw error;
  }
}

// --- internal ---

function faultyBody(fault: BodyFault): GatewayBody {
  return { ...NO_BODY, fault: () => fault };
}

function heldBody(spool: Spool): GatewayBody {
  return {
    ...NO_BODY,
    length: spool.size(),
    open: () => spool.read(),
    pieces: () => spool.pieces(),
    dispose: () => spool.dispose(),
  };
}

/**
 * Fills the spool, without a stream between: that took a quarter of the time of an upload. Null:
 * it is whole; rejects when the client breaks off.
 */
function readAll(
  request: AnyRequest,
  spool: Spool,
  limits: Parameters<typeof holdBody>[2],
  pace: Pace,
): Promise<BodyFault | null> {
  return new Promise((resolve, reject) => {
    let bytes = 0;
    let waitedMs = 0;
    let isFull = false;
    let isWhole = false;
    let isBroken = false;
    const stop = (): void => {
      clearInterval(watch);
      request.off('data', take).off('end', end).off('aborted', broke);
    };
    const settle = (fault: BodyFault | null): void => {
      stop();
      resolve(fault);
    };
    const broke = (): void => {
      isBroken = true;
      stop();
      reject(new Error('the client broke off'));
    };
    /** It comes for a stream that is paused, too. */
    const end = (): void => {
      isWhole = true;
      if (!isFull) settle(null);
    };
    const take = (chunk: Buffer): void => {
      bytes += chunk.length;
      if (bytes > limits.bodyLimitBytes) return settle(413);
      const full = spool.write(chunk);
      if (full === null) return;
      isFull = true;
      request.pause();
      full.then(
        () => {
          isFull = false;
          if (isWhole) settle(null);
          else request.resume();
        },
        (error: Error) => {
          if (!isBroken) limits.unkept(error);
          settle(507);
        },
      );
    };
    // Only the time in which we wait for the client counts.
    const watch = setInterval(() => {
      if (isFull) return;
      waitedMs += pace.checkMs;
      if (isTooSlow(bytes, waitedMs, pace)) settle(408);
    }, pace.checkMs);
    request.once('end', end).once('aborted', broke).on('data', take);
  });
}

function isTooSlow(bytes: number, waitedMs: number, pace: Pace): boolean {
  return waitedMs > pace.graceMs + (bytes / pace.bytesPerS) * 1000;
}

interface Meter {
  readonly stream: Transform;
  fault: BodyFault | null;
  stop(): void;
}

/**
 * Counts what comes: too much, or too slowly, ends it. Only the time in which we wait for the
 * client counts; a worker that does not read is none of the client's fault.
 */
function openMeter(request: AnyRequest, limitBytes: number, pace: Pace): Meter {
  let bytes = 0;
  let waitedMs = 0;
  const fail = (fault: BodyFault): void => {
    meter.fault ??= fault;
    meter.stop();
    request.unpipe(stream);
    stream.destroy(new Error(fault === 413 ? 'the body is too large' : 'the body is too slow'));
  };
  const stream = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      bytes += chunk.length;
      if (bytes > limitBytes) fail(413);
      else done(null, chunk);
    },
  });
  const broke = (): void => void stream.destroy(new Error('the client broke off'));
  const watch = setInterval(() => {
    if (stream.writableNeedDrain) return;
    waitedMs += pace.checkMs;
    if (isTooSlow(bytes, waitedMs, pace)) fail(408);
  }, pace.checkMs);
  const stop = (): void => {
    clearInterval(watch);
    request.off('aborted', broke);
  };
  const meter: Meter = { stream, fault: null, stop };
  request.once('aborted', broke);
  request.once('end', stop);
  request.pipe(stream);
  return meter;
}
