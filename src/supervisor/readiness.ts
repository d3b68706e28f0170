/**
 * When is a worker that boots ready? When it listens on every address that its siblings listen on
 * (or has said nothing new for a moment: an app may change its mind), and is warm if asked to be.
 */
import type { ListenKey } from '../protocol.ts';

export interface Readiness {
  listening(key: ListenKey): void;
  /** The warm-up request was answered. Returns true when that means: this worker is no good. */
  warm(status: number | null): boolean;
  cancel(): void;
}

export interface ReadinessOptions {
  readonly expected: readonly ListenKey[];
  readonly warmup: boolean;
  onReady(): void;
}

/**
 * The first worker shows which addresses there are. An app that opens a second port does it in the
 * same breath, or after a file or a database was read: so long we wait for one more.
 */
const SETTLE_MS = 200;

/** A 5xx means that the app cannot serve; anything else is its way to answer. */
const WARMUP_STATUS_LIMIT = 500;

export function createReadiness(options: ReadinessOptions): Readiness {
  const missing = new Set(options.expected);
  let settled = false;
  let warm = !options.warmup;
  let timer: NodeJS.Timeout | undefined;

  const check = (): void => {
    if (!settled || !warm) return;
    clearTimeout(timer);
    options.onReady();
  };
  const settle = (): void => {
    settled = true;
    check();
  };
  return {
    listening(key) {
      const wasExpected = missing.delete(key);
      clearTimeout(timer);
      if (missing.size === 0 && wasExpected) settle();
      else timer = setTimeout(settle, SETTLE_MS);
    },
    warm(status) {
      if (status === null || status >= WARMUP_STATUS_LIMIT) return true;
      warm = true;
      check();
      return false;
    },
    cancel: () => clearTimeout(timer),
  };
}
