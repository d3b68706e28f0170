/**
 * Bodies of requests: streamed to workers that can stream, held back (in memory, then in a file)
 * for those that need the length first and must not wait for a slow client.
 */
import { Readable, Transform } from 'node:stream';
import type { GatewaySettings } from './messages.ts';
import { announcedLength, type AnyRequest, type AnyResponse } from './refuse.ts';
import { createSpool, type Spool } from './spool.ts';
import type { VisitBody } from './types.ts';

/** Why a body cannot be had: too large, too slow. */
export type BodyFault = 413 | 408;

export interface GatewayBody extends VisitBody {
  /** Whether a byte of it may be gone: what streams can be sent only once. */
  readonly wasOpened: () => boolean;
  readonly fault: () => BodyFault | null;
  /** Gives memory and files back; safe to call twice. */
  dispose(): void;
}

export type Limits = Pick<GatewaySettings, 'bodyLimitBytes' | 'spoolAboveBytes'>;

/** A body slower than this, after its first {@link GRACE_MS}, is an attack (slowloris). */
export const PACE_BYTES_PER_S = 500;
export const GRACE_MS = 20_000;

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
): GatewayBody {
  const length = announcedLength(request);
  if (length === 0) return NO_BODY;
  let opened = false;
  let meter: Meter | null = null;
  const open = (): Readable => {
    if (opened) throw new Error('a body that streams can be opened only once');
    opened = true;
    if (continues) response.writeContinue();
    meter = openMeter(request, limits.bodyLimitBytes);
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

/** Reads the whole body before anybody gets it; rejects when the client breaks off. */
export async function holdBody(
  request: AnyRequest,
  response: AnyResponse,
  limits: Limits,
  continues: boolean,
): Promise<GatewayBody> {
  if (announcedLength(request) === 0) return NO_BODY;
  if (continues) response.writeContinue();
  const meter = openMeter(request, limits.bodyLimitBytes);
  const spool = createSpool(limits.spoolAboveBytes);
  try {
    for await (const chunk of meter.stream) {
      const full = spool.write(chunk as Buffer);
      if (full !== null) await full;
    }
  } catch (error) {
    spool.dispose();
    if (meter.fault === null) throw error;
    return faultyBody(meter.fault);
  } finally {
    meter.stop();
  }
  return heldBody(spool);
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
    dispose: () => spool.dispose(),
  };
}

interface Meter {
  readonly stream: Transform;
  fault: BodyFault | null;
  stop(): void;
}

const PACE_CHECK_MS = 1000;

/**
 * Counts what comes: too much, or too slowly, ends it. Only the time in which we wait for the
 * client counts; a worker that does not read is none of the client's fault.
 */
function openMeter(request: AnyRequest, limitBytes: number): Meter {
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
  const pace = setInterval(() => {
    if (stream.writableNeedDrain) return;
    waitedMs += PACE_CHECK_MS;
    if (waitedMs > GRACE_MS + (bytes / PACE_BYTES_PER_S) * 1000) fail(408);
  }, PACE_CHECK_MS);
  const stop = (): void => {
    clearInterval(pace);
    request.off('aborted', broke);
  };
  const meter: Meter = { stream, fault: null, stop };
  request.once('aborted', broke);
  request.once('end', stop);
  request.pipe(stream);
  return meter;
}
