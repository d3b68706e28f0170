/** The parts of the live page that only compute: history, rates, marks, words, the store. */
import type { WorkerStatus } from '../../src/control/status.ts';
import { describe, expect, test } from 'vitest';
import { RECYCLE_REASONS, type Told } from '../../src/control/types.ts';
import { formatBytes, formatCount, formatDuration } from '../../src/dashboard/client/format.ts';
import { gaugesOf } from '../../src/dashboard/client/gauges.ts';
import { styleOf } from '../../src/dashboard/client/lines.ts';
import { REASONS } from '../../src/dashboard/client/reasons.ts';
import { sentenceOf } from '../../src/dashboard/client/sentences.ts';
import { pageSlot, slotName, slotTag } from '../../src/dashboard/client/slot-name.ts';
import { createStore } from '../../src/dashboard/client/store.ts';
import { createEventLog, EVENTS_MAX, MARKS_MAX } from '../../src/dashboard/events.ts';
import { createHistory, SLOTS_MAX } from '../../src/dashboard/history.ts';
import { createRates } from '../../src/dashboard/rates.ts';
import { statusTable } from '../../src/dashboard/table.ts';
import {
  COARSE_EVERY,
  COARSE_POINTS,
  createTrack,
  FINE_POINTS,
} from '../../src/dashboard/track.ts';
import type { Hello, PageStatus, PoolPoint } from '../../src/dashboard/wire.ts';

const HOUR_S = 3600;
const MIB = 2 ** 20;

function worker(changes: Partial<WorkerStatus> = {}): WorkerStatus {
  return {
    pool: 'app',
    slot: 1,
    generation: 1,
    pid: 100,
    state: 'ready',
    ageMs: 1000,
    requests: 0,
    inFlight: 0,
    longLived: 0,
    connections: 0,
    memoryBytes: 100 * MIB,
    limitBytes: 200 * MIB,
    floorBytes: null,
    slopeBytesPerRequest: null,
    timeToLimitMs: null,
    heapUsedBytes: 50 * MIB,
    eventLoopUtilization: 0.3,
    slopeBytesPerSecond: 0,
    responsive: true,
    next: null,
    ...changes,
  };
}

function statusWith(workers: readonly WorkerStatus[], pid = 1): PageStatus {
  return {
    name: 'app',
    pid,
    uptimeMs: 1000,
    state: 'running',
    listen: [],
    budget: { bytes: 512 * MIB, origin: 'flag' },
    treeBytes: 256 * MIB,
    supervisorBytes: 20 * MIB,
    workers,
    pools: [],
    recycles: Object.fromEntries(RECYCLE_REASONS.map((reason) => [reason, 0])),
    crashes: 0,
    bootFailures: 0,
  } as unknown as PageStatus;
}

function point(treeBytes: number): PoolPoint {
  return {
    treeBytes,
    supervisorBytes: null,
    requestsPerSecond: null,
    p50Ms: null,
    p99Ms: null,
    inFlight: 0,
  };
}

describe('track', () => {
  test('keeps each second of five minutes and each ten seconds of the hour', () => {
    const track = createTrack('last');
    for (let second = 1; second <= 2 * HOUR_S; second += 1) track.push(second);
    const values = track.read();
    expect(values.slice(-FINE_POINTS)).toEqual(
      Array.from({ length: FINE_POINTS }, (_, index) => 2 * HOUR_S - FINE_POINTS + 1 + index),
    );
    const coarse = values.slice(0, -FINE_POINTS);
    expect(coarse[0]).toBe(HOUR_S + COARSE_EVERY);
    expect(coarse).toHaveLength(COARSE_POINTS - FINE_POINTS / COARSE_EVERY);
    expect(values).toEqual(values.toSorted((a, b) => a - b));
  });

  test('a peak of one second is still there an hour later, and a mean is a mean', () => {
    const highest = createTrack('highest');
    const mean = createTrack('mean');
    for (let second = 0; second < HOUR_S - 60; second += 1) {
      highest.push(second === 5 ? 900 : 10);
      mean.push(second % 2 === 0 ? 10 : 20);
    }
    expect(Math.max(...highest.read())).toBe(900);
    expect(mean.read()[0]).toBe(15);
  });

  test('unknown seconds count for nothing', () => {
    const track = createTrack('mean');
    for (let second = 0; second < FINE_POINTS + COARSE_EVERY; second += 1) {
      track.push(second % 2 === 0 ? 10 : NaN);
    }
    expect(track.read()[0]).toBe(10);
  });
});

describe('history', () => {
  test('a slot that comes later has as many points, the first of them unknown', () => {
    const history = createHistory();
    const slot = new Map([[2, { memoryBytes: 7, requestsPerSecond: 1 }]]);
    for (let second = 0; second < 400; second += 1) {
      history.push(second * 1000, point(second), second < 395 ? new Map() : slot);
    }
    const { times, slots, pool } = history.read();
    expect(slots['2']!.memoryBytes).toHaveLength(times.length);
    expect(pool.treeBytes).toHaveLength(times.length);
    expect(slots['2']!.memoryBytes.slice(-6)).toEqual([null, 7, 7, 7, 7, 7]);
    expect(times.at(-1)).toBe(399_000);
  });

  test('a clock that is set back begins the hour anew; a small step does not', () => {
    const history = createHistory();
    for (const at of [10_000, 11_000, 10_900]) history.push(at, point(1), new Map());
    expect(history.read().times).toEqual([10_000, 11_000, 11_001]);
    history.push(1000, point(1), new Map());
    expect(history.read().times).toEqual([1000]);
  });

  test('slots beyond the bound cost nothing', () => {
    const history = createHistory();
    const entry = { memoryBytes: 1, requestsPerSecond: 1 };
    const many = new Map(Array.from({ length: SLOTS_MAX + 50 }, (_, slot) => [slot, entry]));
    history.push(0, point(1), many);
    expect(Object.keys(history.read().slots)).toHaveLength(SLOTS_MAX);
  });
});

describe('rates', () => {
  test('counts on when a worker is replaced by one that begins at zero', () => {
    const rates = createRates();
    rates.update(0, statusWith([worker({ requests: 1000 })]));
    rates.update(1000, statusWith([worker({ requests: 1100 })]));
    const both = [
      worker({ requests: 1150, state: 'draining' }),
      worker({ requests: 50, generation: 2, memoryBytes: 60 * MIB }),
    ];
    const served = rates.update(2000, statusWith(both)).get(1);
    expect(served).toEqual({ memoryBytes: 60 * MIB, requestsPerSecond: 100 });
  });

  test('a suspension starts a new window instead of a wrong number', () => {
    const rates = createRates();
    rates.update(0, statusWith([worker({ requests: 0 })]));
    const after = rates.update(60_000, statusWith([worker({ requests: 6000 })])).get(1);
    expect(after?.requestsPerSecond).toBeNull();
  });
});

describe('lines', () => {
  test('24 slots differ in color or dash, so eight differ in more than their color', () => {
    const looks = Array.from({ length: 24 }, (_, index) => JSON.stringify(styleOf(index + 1)));
    expect(new Set(looks).size).toBe(24);
  });
});

describe('events', () => {
  const started = { event: 'recycle_started', slot: 3, reason: 'max_memory' } as Told;
  const ready = { event: 'worker_ready', slot: 3, generation: 2, pid: 1, bootMs: 1 } as Told;

  test('a recycle is marked when the replacement serves, a crash at once', () => {
    const log = createEventLog();
    expect(log.add(1, started).mark).toBeNull();
    expect(log.add(2, ready).mark).toEqual({ at: 2, slot: 3, reason: 'max_memory' });
    expect(log.add(3, ready).mark).toBeNull();
    const crash = { event: 'worker_crashed', slot: 3, detail: 'x'.repeat(9000) } as Told;
    const { event, mark } = log.add(4, crash);
    expect(mark).toEqual({ at: 4, slot: 3, reason: 'crash' });
    expect(JSON.stringify(event).length).toBeLessThan(600);
  });

  test('both lists are bounded', () => {
    const log = createEventLog();
    for (let at = 0; at < 3000; at += 1) {
      log.add(at, started);
      log.add(at, ready);
    }
    expect(log.events()).toHaveLength(EVENTS_MAX);
    expect(log.marks()).toHaveLength(MARKS_MAX);
    expect(log.events().at(-1)?.id).toBe(6000);
  });
});

test('the table for those without scripts escapes what it shows', () => {
  const status = { ...statusWith([worker()]), name: '<script>"&' };
  const html = statusTable(status);
  expect(html).not.toContain('<script>');
  expect(html).toContain('&#60;script&#62;&#34;&#38;');
  expect(html).toContain('<td>100.0</td>');
});

describe('words', () => {
  test('numbers', () => {
    expect(formatBytes(200 * MIB)).toBe('200 MiB');
    expect(formatBytes(1.5 * 2 ** 30)).toBe('1.50 GiB');
    expect(formatBytes(null)).toBe('–');
    expect(formatDuration(7_500_000)).toBe('2 h 5 min');
    expect(formatDuration(59_999)).toBe('60 s');
    expect(formatCount(1_234_567)).toBe('1\u2009234\u2009567');
  });

  test('every reason has a letter of its own', () => {
    const signs = RECYCLE_REASONS.map((reason) => REASONS[reason].sign);
    expect(new Set(signs).size).toBe(RECYCLE_REASONS.length);
  });

  test('an event that the page does not know is still told with its numbers', () => {
    const told = {
      event: 'cooled_down',
      slot: 2,
      waitedMs: 1500,
      heapBytes: MIB,
    } as unknown as Told;
    expect(sentenceOf(told, (slot) => `Slot ${slot}`)).toEqual({
      tone: 'plain',
      title: 'Slot 2: cooled down',
      text: 'waited 1.5 s · heap 1.00 MiB',
    });
  });

  test('slots of several pools bear the name of theirs, and events without a slot as well', () => {
    const one = statusWith([worker()]);
    const pools = ['web', 'api'].map((name) => ({ name }));
    const several = { ...one, pools } as unknown as PageStatus;
    const slots = [pageSlot(3, 0), pageSlot(3, 1)];
    expect(slots.map((slot) => slotName(slot, several))).toEqual(['web/3', 'api/3']);
    expect(slots.map(slotTag)).toEqual(['3', '3']);
    expect(slotName(3, one)).toBe('Slot 3');
    expect(styleOf(slots[0]!)).not.toEqual(styleOf(slots[1]!));
    const told = { event: 'all_ready', workers: 2, tookMs: 10 } as const;
    const titleOf = (pool?: string): string =>
      sentenceOf(told, (slot) => slotName(slot, several), pool).title;
    expect([titleOf(), titleOf('api')]).toEqual(['All ready', 'api: all ready']);
    const recycles = { event: 'worker_ready', slot: slots[1]!, generation: 2, pid: 1, bootMs: 1 };
    const nameOf = (slot: number): string => slotName(slot, several);
    expect(sentenceOf(recycles as Told, nameOf, 'api').title).toBe('api/3 ready');
  });

  test('gauges name what is nearest to its end', () => {
    const workers = [worker(), worker({ slot: 2, memoryBytes: 195 * MIB, responsive: false })];
    const words = gaugesOf(statusWith(workers)).map(({ name, word, level }) => [name, word, level]);
    expect(words).toEqual([
      ['Memory budget', 'fine', 'fine'],
      ['Nearest memory limit', '■ due', 'full'],
      ['Busiest event loop', 'fine', 'fine'],
      ['Serving', '▲ not all', 'high'],
    ]);
  });
});

describe('store', () => {
  const hello = (times: number[], pid: number): Hello => ({
    status: statusWith([worker()], pid),
    history: {
      times,
      pool: Object.fromEntries(
        Object.keys(point(0)).map((name) => [name, times]),
      ) as unknown as Hello['history']['pool'],
      slots: { 1: { memoryBytes: times, requestsPerSecond: times } },
    },
    marks: [{ at: times[0]!, slot: 1, reason: 'manual' }],
    events: [],
  });

  test('a restarted server leaves a gap, a broken connection does not', () => {
    const store = createStore();
    store.greet(hello([1, 2, 3], 1));
    store.greet(hello([2, 3, 4], 1));
    expect(store.times).toEqual([1, 2, 3, 4]);
    expect(store.marks).toHaveLength(1);
    store.greet(hello([8, 9], 2));
    expect(store.times).toEqual([1, 2, 3, 4, 8, 9]);
    expect(store.slots.get(1)?.memoryBytes).toEqual([1, 2, 3, 4, 8, 9]);
    expect(store.marks.map(({ at }) => at)).toEqual([2, 8]);
  });

  test('all columns stay as long as the hour, however long the page is open', () => {
    const store = createStore();
    store.greet(hello([0], 1));
    for (let second = 1; second < 2 * HOUR_S; second += 1) {
      store.add({
        at: second * 1000,
        status: statusWith([]),
        pool: point(second),
        slots: second % 100 < 50 ? { 1: { memoryBytes: second, requestsPerSecond: 0 } } : {},
      });
    }
    expect(store.times.length).toBeLessThan(HOUR_S + 120);
    expect(store.slots.get(1)?.memoryBytes).toHaveLength(store.times.length);
    expect(store.pool.treeBytes.at(-1)).toBe(2 * HOUR_S - 1);
  });
});
