/**
 * Clients that ask and do not read. Each holds its answer, and often the worker that writes it, so
 * they have as long as behind nginx (`send_timeout`) to take the next bytes.
 */
import type { Socket } from 'node:net';
import { performance } from 'node:perf_hooks';
import { cut, type AnyResponse } from './refuse.ts';

export interface SlowReaders {
  /** From now on, until it closes. */
  watch(response: AnyResponse): void;
  /** To be called now and then: cuts off those that took nothing for so long; 0 = never. */
  look(timeoutMs: number, onCut: (response: AnyResponse) => void): void;
}

export function createSlowReaders(): SlowReaders {
  const open = new Set<AnyResponse>();
  /** Those that had bytes to send when they were looked at last. */
  const pending = new Map<AnyResponse, Progress>();
  return {
    watch(response) {
      open.add(response);
      response.once('close', () => {
        open.delete(response);
        pending.delete(response);
      });
    },
    look(timeoutMs, onCut) {
      if (timeoutMs === 0) return pending.clear();
      const now = performance.now();
      for (const response of open) {
        const before = pending.get(response);
        if (unsentBytes(response) === 0) {
          if (before !== undefined) before.mark = '';
          continue;
        }
        const mark = markOf(response);
        if (before === undefined) {
          const progress = { mark, since: now };
          pending.set(response, progress);
          // It may be filled up again to the same mark.
          response.on('drain', () => (progress.mark = ''));
        } else if (before.mark !== mark) {
          before.mark = mark;
          before.since = now;
        } else if (now - before.since >= timeoutMs) {
          pending.delete(response);
          onCut(response);
          end(response);
        }
      }
    },
  };
}

// --- internal ---

interface Progress {
  /** How much was left to send; another one is progress. */
  mark: string;
  since: number;
}

type OpenSocket = Socket & { readonly _handle?: { readonly writeQueueSize?: number } | null };

function socketOf(response: AnyResponse): OpenSocket | null {
  return 'stream' in response ? null : response.socket;
}

/** An HTTP/2 response has no buffer of its own but that of its stream. */
function unsentBytes(response: AnyResponse): number {
  return response.writableLength + (socketOf(response)?._handle?.writeQueueSize ?? 0);
}

/** The kernel takes a long write piece by piece: that shows in the queue of the handle alone. */
function markOf(response: AnyResponse): string {
  return `${response.writableLength} ${socketOf(response)?._handle?.writeQueueSize ?? 0}`;
}

/** Without the rest of what is buffered: nobody takes it. */
function end(response: AnyResponse): void {
  const socket = socketOf(response);
  if (socket === null) cut(response);
  else socket.destroy();
}
