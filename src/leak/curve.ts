/** The curve of a run as inline SVG: floors, tops of the saw, phases and the fitted line. Pure. */
import { escapeHtml } from './html.ts';
import { SIGNAL_WORDS, fitLine, unitOf, valueOf } from './series.ts';
import type { Phase, Sample, Signal } from './series.ts';
import { phaseOf } from './slow.ts';
import type { Verdict } from './verdict.ts';
import { formatAmount, formatNumber } from './words.ts';

export function drawCurve(samples: readonly Sample[], verdict: Verdict): string {
  const signal = verdict.signal ?? 'heap';
  const dots = samples.flatMap((sample) => {
    const value = valueOf(sample, signal);
    return value === null ? [] : [{ x: sample.atMs / 1000, y: value, sample }];
  });
  if (dots.length < 2) return '<p class="dim">Too few checkpoints for a curve.</p>';
  const tops = signal === 'heap' ? samples.map(topOf) : [];
  const view = scaleOf(
    dots.map(({ x }) => x),
    [...dots.map(({ y }) => y), ...tops],
  );
  const title = `${SIGNAL_WORDS[signal]} at each checkpoint, after collection`;
  return `<div class="scroll"><svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${escapeHtml(title)}">
<title>${escapeHtml(title)}</title>
${drawPhases(samples, view)}
${drawAxes(view, signal, samples)}
${tops.length === 0 ? '' : drawTops(samples, view)}
<polyline fill="none" stroke="var(--curve)" stroke-width="2" points="${dots
    .map(({ x, y }) => `${view.x(x)},${view.y(y)}`)
    .join(' ')}"/>
${dots.map(({ x, y }) => circle(view.x(x), view.y(y))).join('')}
${drawFit(samples, phaseOf(verdict) ?? 'load', signal, view)}
</svg></div>
<p class="dim">Dots: ${escapeHtml(title)}.${
    tops.length === 0 ? '' : ' Light bars: up to where the heap had climbed before it.'
  } Dashed: the fitted line.</p>`;
}

// --- internal ---

const WIDTH = 900;
const HEIGHT = 340;
const MARGIN = { left: 80, right: 16, top: 26, bottom: 40 };

interface View {
  readonly x: (value: number) => number;
  readonly y: (value: number) => number;
  readonly low: number;
  readonly high: number;
  readonly end: number;
}

const round = (value: number): number => Math.round(value * 10) / 10;

function scaleOf(xs: readonly number[], ys: readonly number[]): View {
  const end = Math.max(...xs, 1);
  const low = Math.min(...ys);
  const high = Math.max(...ys, low + 1);
  const room = (high - low) * 0.08;
  const [bottom, top] = [Math.max(0, low - room), high + room];
  const inner = {
    width: WIDTH - MARGIN.left - MARGIN.right,
    height: HEIGHT - MARGIN.top - MARGIN.bottom,
  };
  return {
    x: (value) => round(MARGIN.left + (value / end) * inner.width),
    y: (value) => round(MARGIN.top + (1 - (value - bottom) / (top - bottom)) * inner.height),
    low: bottom,
    high: top,
    end,
  };
}

function circle(x: number, y: number): string {
  return `<circle cx="${x}" cy="${y}" r="2.5" fill="var(--curve)"/>`;
}

function text(x: number, y: number, anchor: 'start' | 'middle' | 'end', words: string): string {
  return `<text x="${x}" y="${y}" text-anchor="${anchor}">${escapeHtml(words)}</text>`;
}

/** Above the floor that is drawn, by as much as the whole heap was above its own. */
function topOf(sample: Sample): number {
  return sample.heapBytes + Math.max(0, sample.heapBeforeBytes - sample.heapUsedBytes);
}

function drawTops(samples: readonly Sample[], view: View): string {
  return samples
    .map((sample) => {
      const x = view.x(sample.atMs / 1000);
      const [bottom, top] = [view.y(sample.heapBytes), view.y(topOf(sample))];
      const ends = `x1="${x}" x2="${x}" y1="${bottom}" y2="${top}"`;
      return `<line ${ends} stroke="var(--top)" stroke-width="3"/>`;
    })
    .join('');
}

function drawPhases(samples: readonly Sample[], view: View): string {
  const spans: { phase: Phase; from: number; to: number }[] = [];
  for (const { phase, atMs } of samples) {
    const last = spans.at(-1);
    if (last?.phase === phase) last.to = atMs / 1000;
    else spans.push({ phase, from: last?.to ?? 0, to: atMs / 1000 });
  }
  return spans
    .map(({ phase, from, to }, at) => {
      const [left, right] = [view.x(from), view.x(to)];
      const fill = at % 2 === 0 ? 'var(--soft)' : 'none';
      const width = Math.max(0, round(right - left));
      const height = HEIGHT - MARGIN.top - MARGIN.bottom;
      const box = `x="${left}" y="${MARGIN.top}" width="${width}" height="${height}"`;
      const label = width > 40 ? text(left + 4, MARGIN.top - 8, 'start', phase) : '';
      return `<rect ${box} fill="${fill}"/>${label}`;
    })
    .join('');
}

function drawAxes(view: View, signal: Signal, samples: readonly Sample[]): string {
  const lines: string[] = [];
  for (let step = 0; step <= 4; step++) {
    const value = view.low + ((view.high - view.low) * step) / 4;
    const y = view.y(value);
    lines.push(
      `<path d="M${MARGIN.left} ${y}H${WIDTH - MARGIN.right}" stroke="var(--line)"/>`,
      text(MARGIN.left - 8, y + 4, 'end', formatAmount(value, unitOf(signal))),
    );
    const x = view.x((view.end * step) / 4);
    const anchor = step === 4 ? 'end' : 'middle';
    lines.push(text(x, HEIGHT - 18, anchor, `${formatNumber((view.end * step) / 4, 0)} s`));
  }
  const requests = samples.at(-1)?.requests ?? 0;
  lines.push(
    text(WIDTH - MARGIN.right, HEIGHT - 3, 'end', `${formatNumber(requests, 0)} requests`),
  );
  return lines.join('');
}

/** Fitted over time here, because the picture's axis is time and phases have different rates. */
function drawFit(samples: readonly Sample[], of: Phase, signal: Signal, view: View): string {
  const load = samples.filter(({ phase }) => phase === of);
  const judged = load.slice(Math.floor(load.length / 3));
  const points = judged.flatMap((sample) => {
    const y = valueOf(sample, signal);
    return y === null ? [] : [{ x: sample.atMs / 1000, y }];
  });
  const line = fitLine(points, 1.96);
  const [first, last] = [points[0], points.at(-1)];
  if (line === null || first === undefined || last === undefined) return '';
  const at = (x: number): string => `${view.x(x)},${view.y(line.intercept + line.slope * x)}`;
  const style = 'fill="none" stroke="var(--bad)" stroke-width="2" stroke-dasharray="6 4"';
  return `<polyline points="${at(first.x)} ${at(last.x)}" ${style}/>`;
}
