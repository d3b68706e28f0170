/** Several pools in one house, each with a loop of its own: one budget, one reload. */
import { afterEach, expect, test } from 'vitest';
import type { Effect, Policy, PoolEvent, Told } from '../../src/control/types.ts';
import { createHouse, type House, type Housed } from '../../src/supervisor/house.ts';
import { createLoop, type Loop } from '../../src/supervisor/loop.ts';
import { NO_REPORT, POLICY } from './control-kit.ts';

const MIB = 2 ** 20;
const loops: Loop[] = [];

afterEach(() => loops.splice(0).forEach((loop) => loop.stop()));

interface Rooms {
  readonly house: House;
  readonly pools: readonly Housed[];
  readonly told: { readonly pool: string; readonly told: Told }[];
  readonly send: (pool: string, ...events: readonly PoolEvent[]) => void;
}

/** Pools whose workers 1..n are ready; nobody boots by itself. */
async function furnish(names: readonly string[], policy: Partial<Policy>): Promise<Rooms> {
  const told: Rooms['told'] = [];
  const pools: Housed[] = [];
  const house = createHouse(() => pools);
  for (const name of names) {
    const door = house.doorOf(name);
    const loop = createLoop({
      policy: { ...POLICY, workers: 1, ...policy },
      now: () => performance.now(),
      random: () => 0.5,
      news: () => door.news(),
      turned: () => door.turned(),
      perform(effect: Effect) {
        if (effect.type !== 'tell') return;
        told.push({ pool: name, told: effect.told });
        house.told(effect.told, name);
      },
    });
    loops.push(loop);
    const workers = { loop };
    pools.push({ name, workers, runners: () => [workers], commonBytes: () => 0 });
  }
  const send = (pool: string, ...events: readonly PoolEvent[]): void => {
    const { loop } = pools.find(({ name }) => name === pool)!.workers;
    for (const event of events) loop.enqueue(event);
  };
  for (const name of names) {
    send(name, { type: 'start' });
    for (let worker = 1; worker <= (policy.workers ?? 1); worker += 1) {
      send(name, { type: 'ready', worker });
    }
  }
  await turns();
  return { house, pools, told, send };
}

/** Until the loops have done what is queued, and what followed from it. */
async function turns(): Promise<void> {
  for (let count = 0; count < 8; count += 1) {
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
  }
}

test('two pools that turn at once do not both fill the room of one surge worker', async () => {
  const { house, told, send } = await furnish(['web', 'api'], {
    workers: 2,
    budgetBytes: 300 * MIB,
  });
  for (const pool of ['web', 'api']) {
    for (const worker of [1, 2]) {
      send(
        pool,
        { type: 'report', worker, report: NO_REPORT },
        { type: 'sample', worker, memoryBytes: 50 * MIB },
      );
    }
  }
  house.sampled(20 * MIB);
  await turns();
  // 20 + 4 x 50, and 50 more: one surge worker fits, and not another one.
  for (const pool of ['web', 'api']) send(pool, { type: 'recycle', slot: 1, reason: 'manual' });
  await turns();
  const started = told.flatMap(({ told }) => (told.event === 'recycle_started' ? [told] : []));
  expect(started.map(({ breakFirst }) => breakFirst)).toEqual([false, true]);
});

test('every pool hears what the others use, and exactly one has to make room', async () => {
  const { house, pools, send } = await furnish(['web', 'api'], { budgetBytes: 500 * MIB });
  send('web', { type: 'sample', worker: 1, memoryBytes: 100 * MIB });
  send('api', { type: 'sample', worker: 1, memoryBytes: 40 * MIB });
  await turns();
  house.sampled(20 * MIB);
  await turns();
  const states = pools.map(({ workers }) => workers.loop.state());
  expect(states.map(({ overheadBytes }) => overheadBytes / MIB)).toEqual([60, 120]);
  expect(states.map(({ mayReclaim }) => mayReclaim)).toEqual([true, false]);
});

test('who has to make room changes hands with the turn that made it so, not a second later', async () => {
  const { pools, send } = await furnish(['web', 'api'], { budgetBytes: 500 * MIB, minAgeMs: 0 });
  const room = (): boolean[] => pools.map(({ workers }) => workers.loop.state().mayReclaim);
  for (const pool of ['web', 'api']) {
    send(pool, { type: 'sample', worker: 1, memoryBytes: 40 * MIB });
  }
  await turns();
  expect(room()).toEqual([true, false]);
  // Now it is the other one that has something to give back.
  send('api', { type: 'sample', worker: 1, memoryBytes: 100 * MIB });
  await turns();
  expect(room()).toEqual([false, true]);
});

test('a reload rolls in no pool before the first workers of all serve', async () => {
  const { pools, told, send } = await furnish(['web', 'api'], {});
  const reload = { type: 'reload', policy: POLICY, isJoint: true } as const;
  for (const pool of ['web', 'api']) send(pool, reload);
  await turns();
  send('web', { type: 'ready', worker: 2 });
  await turns();
  expect(pools.map(({ workers }) => workers.loop.state().epoch)).toEqual([0, 0]);
  send('api', { type: 'ready', worker: 2 });
  await turns();
  expect(pools.map(({ workers }) => workers.loop.state().epoch)).toEqual([1, 1]);
  const events = told.map(({ pool, told }) => `${pool} ${told.event}`);
  expect(events.filter((each) => each.endsWith(' reload_rolling'))).toHaveLength(2);
});

test('a reload that one pool cannot boot is taken back in all, and each says whose fault', async () => {
  const { pools, told, send } = await furnish(['web', 'api'], {});
  const reload = { type: 'reload', policy: POLICY, isJoint: true } as const;
  for (const pool of ['web', 'api']) send(pool, reload);
  await turns();
  send('web', { type: 'ready', worker: 2 });
  send('api', { type: 'exited', worker: 2, code: 1, signal: null, detail: 'no database' });
  await turns();
  const states = pools.map(({ workers }) => workers.loop.state());
  expect(states.map(({ epoch, trial }) => ({ epoch, trial }))).toEqual(
    states.map(() => ({ epoch: 0, trial: null })),
  );
  const details = told.flatMap(({ pool, told }) =>
    told.event === 'reload_rolled_back' ? [`${pool}: ${told.detail}`] : [],
  );
  expect(details).toEqual([
    expect.stringMatching(/^api: .*no database/) as string,
    expect.stringMatching(/^web: pool api: .*no database/) as string,
  ]);
});
