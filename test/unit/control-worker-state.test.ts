import { describe, expect, test } from 'vitest';
import type { Policy, WorkerStateName } from '../../src/control/types.ts';
import { TABLE, transition } from '../../src/control/worker-state.ts';
import {
  createWorker,
  type Life,
  type Worker,
  type WorkerEvent,
  type WorkerEventName,
} from '../../src/control/worker.ts';
import { NO_REPORT, POLICY } from './control-kit.ts';

const NOW = 1000;

const LIVES: { [S in WorkerStateName]: Extract<Life, { state: S }> } = {
  booting: { state: 'booting', deadline: 5000 },
  ready: { state: 'ready', deadline: 5000, silent: false },
  draining: { state: 'draining', deadline: 5000, longDeadline: 9000, cut: false },
  lingering: { state: 'lingering', deadline: 9000, cut: false },
  stopping: { state: 'stopping', deadline: 5000 },
  killing: { state: 'killing' },
  gone: { state: 'gone' },
};

const EVENTS: { [E in WorkerEventName]: Extract<WorkerEvent, { type: E }> } = {
  spawned: { type: 'spawned', worker: 1, pid: 42 },
  ready: { type: 'ready', worker: 1 },
  disconnected: { type: 'disconnected', worker: 1 },
  boot_failed: { type: 'boot_failed', worker: 1, message: 'boom', retryAtOnce: false },
  exited: { type: 'exited', worker: 1, code: 1, signal: null, detail: 'boom' },
  report: { type: 'report', worker: 1, report: { ...NO_REPORT, requests: 7 } },
  sample: { type: 'sample', worker: 1, memoryBytes: 77 },
  drained: {
    type: 'drained',
    worker: 1,
    result: { moved: 1, cutRequests: 0, cutLongLived: 0 },
  },
  drain: { type: 'drain', deadlineMs: 100, longDeadlineMs: 200, last: false },
  terminate: { type: 'terminate' },
  kill: { type: 'kill', why: 'test' },
  ask: { type: 'ask' },
  overdue: { type: 'overdue', worker: 1 },
  deadline: { type: 'deadline' },
};

/**
 * The whole table once more, as a person reads it: `state effects`, or `-` = ignored. Effects: T
 * TERM, K KILL, D drain, C cut; `!` = the pool hears of it.
 */
const EXPECTED: Record<WorkerEventName, Record<WorkerStateName, string>> = {
  spawned: row('booting', 'ready', 'draining', 'lingering', 'stopping', 'killing', '-'),
  ready: row('ready!', '-', '-', '-', '-', '-', '-'),
  disconnected: row('stopping T!', 'draining!', '-', '-', '-', '-', '-'),
  boot_failed: row('stopping T!', '-', '-', '-', '-', '-', '-'),
  exited: row('gone!', 'gone!', 'gone!', 'gone!', 'gone', 'gone', '-'),
  report: row('booting', 'ready', 'draining', 'lingering', 'stopping', '-', '-'),
  sample: row('booting', 'ready!', 'draining', 'lingering', 'stopping', 'killing', '-'),
  drained: row('-', '-', 'stopping T', 'stopping T', 'stopping', '-', '-'),
  drain: row('stopping T', 'draining D', 'draining', 'lingering', '-', '-', '-'),
  terminate: row('stopping T', 'stopping T', 'stopping T', 'stopping T', 'stopping', '-', '-'),
  kill: row('killing K', 'killing K', 'killing K', 'killing K', 'killing K', '-', '-'),
  ask: row('booting', 'ready', '-', '-', '-', '-', '-'),
  overdue: row('-', 'ready', '-', '-', '-', '-', '-'),
  deadline: row('stopping T!', 'ready', 'draining C', 'lingering C', 'killing K', '-', '-'),
};

function row(...cells: [string, string, string, string, string, string, string]) {
  const [booting, ready, draining, lingering, stopping, killing, gone] = cells;
  return { booting, ready, draining, lingering, stopping, killing, gone };
}

function workerIn(life: Life): Worker {
  const birth = { id: 1, slot: 1, generation: 1, epoch: 0, bornAt: 0, bootTimeoutMs: 5000 };
  const worker = createWorker({ ...birth, requestLimit: 0, ageLimitMs: 0 });
  return { ...worker, life, readyAt: life.state === 'booting' ? null : 100 };
}

function outcomeOf(life: Life, event: WorkerEvent, policy: Policy = POLICY): string {
  const result = transition(workerIn(life), event, { now: NOW, policy });
  if (result === null) return '-';
  const letters = result.effects.flatMap((effect) => {
    if (effect.type === 'signal') return effect.signal === 'SIGTERM' ? 'T' : 'K';
    if (effect.type === 'drain') return 'D';
    return effect.type === 'cut' ? 'C' : [];
  });
  const text = [result.worker.life.state, letters.join('')].join(' ').trim();
  return `${text}${result.news === null ? '' : '!'}`;
}

const states = Object.keys(LIVES) as WorkerStateName[];
const names = Object.keys(EVENTS) as WorkerEventName[];

describe('the table of a worker’s life', () => {
  test('has an entry for every pair of state and event, and no other', () => {
    expect(Object.keys(TABLE).sort()).toEqual([...states].sort());
    for (const state of states) {
      expect(Object.keys(TABLE[state]).sort(), state).toEqual([...names].sort());
    }
  });

  for (const name of names) {
    test.each(states)(`${name} while %s`, (state) => {
      expect(outcomeOf(LIVES[state], EVENTS[name])).toBe(EXPECTED[name][state]);
    });
  }

  test('a pair that is marked as ignored in the table is the one that does nothing', () => {
    for (const state of states) {
      for (const name of names) {
        expect(TABLE[state][name] === 'ignore', `${state} ${name}`).toBe(
          EXPECTED[name][state] === '-',
        );
      }
    }
  });
});

describe('what a state remembers', () => {
  const go = (life: Life, event: WorkerEvent, change: Partial<Worker> = {}) =>
    transition({ ...workerIn(life), ...change }, event, { now: NOW, policy: POLICY });

  test('a drained worker that exits with 0 has not crashed', () => {
    const exit = { ...EVENTS.exited, code: 0 };
    expect(go(LIVES.draining, exit)?.news).toBeNull();
    expect(go(LIVES.lingering, exit)?.news).toBeNull();
    expect(go(LIVES.ready, exit)?.news).toMatchObject({ type: 'crashed', code: 0 });
  });

  test('at its deadline a drain with long-lived connections lingers, without them it ends', () => {
    const lingers = go(LIVES.draining, EVENTS.deadline, { report: { ...NO_REPORT, longLived: 1 } });
    expect(lingers?.worker.life).toEqual({ state: 'lingering', deadline: 9000, cut: false });
    expect(lingers?.effects[0]).toEqual({ type: 'cut', worker: 1, scope: 'requests' });
    const cut = go(LIVES.draining, EVENTS.deadline)?.worker.life;
    expect(cut).toMatchObject({ state: 'draining', cut: true, deadline: NOW + 1000 });
    expect(outcomeOf(cut ?? LIVES.gone, EVENTS.deadline)).toBe('stopping T');
  });

  test('a long-lived connection that shows up after the cut still gets its own deadline', () => {
    const report = { ...NO_REPORT, longLived: 1 };
    const life = { ...LIVES.draining, cut: true };
    const after = go(life, { type: 'report', worker: 1, report })?.worker.life;
    expect(after).toEqual({ state: 'lingering', deadline: 9000, cut: false });
  });

  test('an order to drain again only shortens the deadlines', () => {
    const short = go(LIVES.draining, EVENTS.drain)?.worker.life;
    expect(short).toMatchObject({ deadline: NOW + 100, longDeadline: NOW + 200 });
    const long = { type: 'drain', deadlineMs: 1e6, longDeadlineMs: 1e6, last: false } as const;
    expect(go(LIVES.draining, long)?.worker.life).toEqual(LIVES.draining);
    expect(go(LIVES.lingering, long)?.worker.life).toEqual(LIVES.lingering);
  });

  test('a silent worker that reports again is watched again', () => {
    const silent = go(LIVES.ready, EVENTS.deadline)?.worker;
    expect(silent?.life).toEqual({ state: 'ready', deadline: null, silent: true });
    const awake = go(silent?.life ?? LIVES.gone, EVENTS.report)?.worker.life;
    const deadline = NOW + POLICY.unresponsiveTimeoutMs;
    expect(awake).toEqual({ state: 'ready', deadline, silent: false });
  });
});
