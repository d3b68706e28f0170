/**
 * The verdict: a pure function over the checkpoints. It decides on effect size and linearity in two
 * consecutive looks (each twice as long as the one before), never on a p-value (83 % false alarms
 * were measured with Mann-Kendall alone) and never on RSS.
 */
import { LEAST_POINTS, LOOK_SIZES, keepsSlope, takeLook } from './look.ts';
import type { Look } from './look.ts';
import { SIGNALS, pointsOf } from './series.ts';
import type { Sample, Signal } from './series.ts';
import { nameCalm } from './calm.ts';
import { OPEN, floorsOf, rateOf } from './finding.ts';
import type { Finding, JudgeOptions, Verdict } from './finding.ts';
import { weighAtRest } from './resting.ts';
import { weighSlow } from './slow.ts';
import { explainsLoad, judgeDeath, judgeRest } from './rest-and-death.ts';

export type { Finding, JudgeOptions, Rate, Verdict, VerdictKind } from './finding.ts';

export function judge(samples: readonly Sample[], options: JudgeOptions): Verdict {
  const load = samples.filter((sample) => sample.phase === 'load');
  if ((options.died || options.final) && load.length < LEAST_POINTS) {
    return judgeDeath(samples, options.died);
  }
  const seen = judgeLoad(load, samples, options);
  if (!options.final || options.died) return seen;
  return weighSlow(weighAtRest(seen, samples, options), samples, options);
}

// --- internal ---

function judgeLoad(
  load: readonly Sample[],
  samples: readonly Sample[],
  options: JudgeOptions,
): Verdict {
  const findings = SIGNALS.map((signal) => examine(signal, load, options));
  const idle = judgeRest(samples, options);
  if (idle !== null && explainsLoad(idle, samples, findings)) {
    return { ...OPEN, kind: 'leak', signal: idle.signal, rate: idle.rate, findings };
  }
  const leaking = findings.find((finding) => finding.state === 'leaks');
  if (leaking !== undefined) return leakOf(leaking, findings, samples, options);
  const open = findings.find(
    (finding) => finding.state === 'slowing' || finding.state === 'unsure',
  );
  const short = load.length < (options.final ? 2 * LEAST_POINTS : LOOK_SIZES[1]);
  if (open !== undefined) return { ...undecided(open, load), findings };
  if (short) return { ...OPEN, findings, moreRequests: missing(load), because: 'too few requests' };
  return { ...OPEN, ...nameCalm(samples, findings), findings };
}

/**
 * Looks at every size that was reached. At the very end also at all there is, if that adds a
 * quarter; a series that reached no second look is halved to have one.
 */
function looksOf(signal: Signal, load: readonly Sample[], options: JudgeOptions): Look[] {
  const points = pointsOf(load, signal);
  const floors = floorsOf(signal, load, options.thorough);
  const sizes: number[] = LOOK_SIZES.filter((size) => size <= points.length);
  const isShort = sizes.length < 2;
  if (options.final && points.length >= LEAST_POINTS) {
    if (isShort) sizes.splice(0, 1, Math.max(LEAST_POINTS, points.length >> 1), points.length);
    else if (points.length >= (sizes.at(-1) ?? 0) * 1.25) sizes.push(points.length);
  }
  const looks = sizes.map((size) => takeLook(points.slice(0, size), floors));
  return looks.filter((look) => look !== null);
}

function examine(signal: Signal, load: readonly Sample[], options: JudgeOptions): Finding {
  const looks = looksOf(signal, load, options);
  const last = looks.at(-1);
  if (last === undefined) return { signal, looks, visible: null, state: 'unmeasured' };
  return {
    signal,
    looks,
    visible: last.visible,
    state: stateOf(looks, last, floorsOf(signal, load, options.thorough).slope, options),
  };
}

function stateOf(
  looks: readonly Look[],
  last: Look,
  floor: number,
  options: JudgeOptions,
): Finding['state'] {
  const previous = looks.at(-2);
  if (last.class === 'linear') {
    const keeps = previous !== undefined && keepsSlope(previous, last, floor / 2);
    const kept = keeps && previous.class === 'linear';
    // At the very end there is no third look to wait for: a narrow interval must do.
    const isNarrow = options.final && keeps && last.low > 2 * (last.high - last.low);
    return kept || isNarrow || options.died ? 'leaks' : 'unsure';
  }
  return last.class;
}

function leakOf(
  leaking: Finding,
  findings: readonly Finding[],
  samples: readonly Sample[],
  options: JudgeOptions,
): Verdict {
  const look = leaking.looks.at(-1);
  if (look === undefined) return { ...OPEN, findings };
  return {
    ...OPEN,
    kind: 'leak',
    signal: heaviest(leaking, findings).signal,
    rate: rateOf((heaviest(leaking, findings).looks.at(-1) ?? look).told, 'request'),
    findings,
    keyedByInput: isKeyed(leaking.signal, look, samples, options),
  };
}

/**
 * Of several leaking byte signals the one that weighs most names the leak: 16 KB buffers, not their
 * 200 B wrappers.
 */
function heaviest(first: Finding, findings: readonly Finding[]): Finding {
  const cause = findings.find(
    ({ signal, state }) => state === 'leaks' && (signal === 'descriptors' || signal === 'contexts'),
  );
  if (cause !== undefined) return cause;
  let best = first;
  for (const finding of findings) {
    if (finding.state !== 'leaks' || finding.signal === 'handles') continue;
    if (finding.signal === 'listeners') continue;
    if ((finding.looks.at(-1)?.line.slope ?? 0) > (best.looks.at(-1)?.line.slope ?? 0)) {
      best = finding;
    }
  }
  return best;
}

/** Growth that stops when every request asks for the same thing is keyed by the request. */
function isKeyed(
  signal: Signal,
  look: Look,
  samples: readonly Sample[],
  options: JudgeOptions,
): boolean {
  const identical = samples.filter((sample) => sample.phase === 'identical');
  if (identical.length < LEAST_POINTS) return false;
  const floors = floorsOf(signal, samples, options.thorough);
  const same = takeLook(pointsOf(identical, signal), floors, 1);
  return same !== null && same.line.slope < look.line.slope / 10;
}

function undecided(open: Finding, load: readonly Sample[]): Verdict {
  const look = open.looks.at(-1);
  if (look === undefined) return OPEN;
  const filling = open.state === 'slowing';
  return {
    ...OPEN,
    signal: open.signal,
    rate: rateOf(look.line, 'request'),
    moreRequests: filling ? null : moreFor(look, load),
    slowing: filling ? { was: look.firstHalfSlope, now: look.secondHalfSlope } : null,
    because: filling ? 'still filling' : 'the interval is too wide, or the growth too short',
  };
}

/**
 * The interval of a slope narrows with the number of checkpoints to the power of 1.5; what is
 * missing is at least the next look.
 */
function moreFor(look: Look, load: readonly Sample[]): number {
  const reach = Math.abs(look.line.slope) || 1;
  const halfWidth = (look.high - look.low) / 2;
  const factor = Math.min(16, Math.max(2, (halfWidth / reach) ** (2 / 3) * 2));
  const done = load.at(-1)?.requests ?? 0;
  return Math.max(100, Math.round((done * (factor - 1)) / 100) * 100);
}

function missing(load: readonly Sample[]): number {
  const done = load.at(-1)?.requests ?? 0;
  const perCheckpoint = load.length > 1 ? done / (load.length - 1) : 200;
  return Math.round((LOOK_SIZES[1] - load.length) * perCheckpoint);
}
