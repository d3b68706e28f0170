/** The live line of `cofferdam leak` on a terminal; nothing elsewhere. */
import type { Progress } from '../leak/phases.ts';
import { formatAmount, formatNumber, formatSpan } from '../leak/words.ts';
import type { Output } from './command.ts';

export interface ProgressLine {
  readonly tell: (progress: Progress) => void;
  readonly say: (text: string) => void;
  /** Clears the line; may be called twice. */
  readonly end: () => void;
}

export function startProgress(output: Output): ProgressLine {
  let shown = false;
  const say = (text: string): void => {
    if (output.isTTY !== true) return;
    shown = true;
    output.write(`\r\u001B[K${text.slice(0, (output.columns ?? 80) - 1)}`);
  };
  return {
    say,
    tell: (progress) => say(lineOf(progress)),
    end() {
      if (shown) output.write('\r\u001B[K');
      shown = false;
    },
  };
}

// --- internal ---

function lineOf({ phase, requests, floorBytes, slope, leftMs }: Progress): string {
  const rate =
    slope === null
      ? ''
      : ` · ${formatAmount(slope.slope, 'bytes')}/request [${formatAmount(slope.low, 'bytes')}, ` +
        `${formatAmount(slope.high, 'bytes')}]`;
  const left =
    phase === 'load' || phase === 'warm-up' ? ` · ${formatSpan(leftMs / 1000)} left` : '';
  const floor = formatAmount(floorBytes, 'bytes');
  return `${phase} · ${formatNumber(requests, 0)} requests · floor ${floor}${rate}${left}`;
}
