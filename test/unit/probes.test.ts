/** What turns each probe red, and what does not. */
import { describe, expect, test } from 'vitest';
import { parseOpsAddress } from '../../src/config/ops-address.ts';
import { answerProbe } from '../../src/probes/answers.ts';
import { judge, PROBES, type Probe, type ProbeFacts } from '../../src/probes/probes.ts';
import { createSaturationGate } from '../../src/probes/saturation.ts';

const WELL: ProbeFacts = {
  phase: 'running',
  loopAgeMs: 300,
  startedOnce: true,
  answering: 2,
  readyMin: 1,
  failingSlots: 0,
  saturated: false,
  saturation: 0.3,
  stalledMs: 0,
  stallLimitMs: 60_000,
};

/** Codes of all three probes, as `ready:stopping`. */
function redOf(change: Partial<ProbeFacts>): string[] {
  const facts = { ...WELL, ...change };
  return PROBES.flatMap((probe) => judge(probe, facts).map(({ code }) => `${probe}:${code}`));
}

describe('probes', () => {
  test.each<[string, Partial<ProbeFacts>, string[]]>([
    ['all is well', {}, []],
    ['the loop does not turn', { loopAgeMs: 10_001 }, ['live:loop_stuck']],
    ['the loop was busy for a moment', { loopAgeMs: 9999 }, []],
    ['every worker is stuck', { answering: 0, stalledMs: 30_000 }, ['ready:too_few_workers']],
    [
      'every worker is stuck for long',
      { answering: 0, stalledMs: 60_001 },
      ['live:workers_stuck', 'ready:too_few_workers'],
    ],
    ['the same, not watched', { stalledMs: 1e9, stallLimitMs: 0 }, []],
    ['too few', { answering: 1, readyMin: 2 }, ['ready:too_few_workers']],
    ['saturated', { saturated: true, saturation: 1 }, ['ready:saturated']],
    ['a slot does not boot', { failingSlots: 1 }, ['ready:boot_failing']],
    ['before the first worker', { phase: 'starting', answering: 0 }, ['ready:starting']],
    ['not all ready yet', { startedOnce: false }, ['started:starting']],
    ['told to stop, still serving', { phase: 'leaving' }, ['ready:stopping']],
    ['stopping', { phase: 'stopping', answering: 0 }, ['ready:stopping']],
  ])('%s', (_, change, red) => {
    expect(redOf(change)).toEqual(red);
  });

  test('answers are constant, unless reasons are asked for', () => {
    const answer = (probe: Probe, change: Partial<ProbeFacts>, verbose = false) =>
      answerProbe(probe, { ...WELL, ...change }, verbose);
    expect(answer('live', {})).toBe(answer('ready', {}));
    expect(answer('ready', { phase: 'leaving' })).toMatchObject({ status: 503, body: 'no\n' });
    const { status, type, body } = answer('ready', { answering: 0 }, true);
    expect({ status, type }).toEqual({ status: 503, type: 'application/json' });
    expect(JSON.parse(body)).toMatchObject({
      probe: 'ready',
      ok: false,
      reasons: [{ code: 'too_few_workers', detail: '0 workers answer, 1 are wanted' }],
    });
  });
});

describe('saturation', () => {
  const limits = { high: 0.9, low: 0.5 };
  const feed = (gate: ReturnType<typeof createSaturationGate>, busy: number, times: number) => {
    for (let second = 0; second < times; second += 1) gate.update(busy, limits);
  };

  test('needs more than a burst, and has to fall well below before it is over', () => {
    const gate = createSaturationGate();
    feed(gate, 1, 2);
    expect(gate.saturated()).toBe(false);
    feed(gate, 1, 10);
    expect(gate.saturated()).toBe(true);
    feed(gate, 0.7, 60);
    expect(gate.value()).toBeCloseTo(0.7);
    expect(gate.saturated()).toBe(true);
    feed(gate, 0.4, 60);
    expect(gate.saturated()).toBe(false);
    feed(gate, 0.7, 60);
    expect(gate.saturated()).toBe(false);
  });

  test('is off with a limit of 0', () => {
    const gate = createSaturationGate();
    for (let second = 0; second < 60; second += 1) gate.update(1, { high: 0, low: 0.5 });
    expect(gate.saturated()).toBe(false);
    expect(gate.value()).toBeCloseTo(1);
  });
});

test.each([
  ['127.0.0.1:9477', { host: '127.0.0.1', port: 9477 }],
  ['9477', { host: '127.0.0.1', port: 9477 }],
  [':9477', { host: null, port: 9477 }],
  ['[::1]:0', { host: '::1', port: 0 }],
  ['localhost:80', { host: 'localhost', port: 80 }],
  ['off', null],
])('--ops %s', (text, address) => {
  expect(parseOpsAddress(text)).toEqual(address);
});
