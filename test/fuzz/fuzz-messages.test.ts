/** Messages on the IPC channel of a worker, from forms that an agent uses to anything at all. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { MESSAGE_COMMAND as cmd } from '../../src/protocol.ts';
import { createDice, type Dice } from '../sim/dice.ts';
import { APPS_FOLDER, isAlive } from '../support/processes.ts';
import { readyPids, serve, statusOfPool } from '../support/serve.ts';
import { mutate } from './raw.ts';
import { SEED, TIMES } from './watch.ts';

const ROUNDS = 40 * TIMES;
const MESSAGES = 50;
const GROWTH_MIB_MAX = 60;

const TYPES = [
  'hello',
  'listening',
  'listen_failed',
  'warm',
  'report',
  'connection',
  'adopted',
  'answer',
  'healed',
  'slow',
  'overdue',
  '__proto__',
] as const;
const NAMES = [
  'type',
  'key',
  'id',
  'ok',
  'status',
  'message',
  'report',
  'measures',
  'result',
  'address',
  'scheme',
  'secure',
  'inherited',
  'activated',
  'fresh',
  'body',
  'kind',
  'code',
  'tookMs',
  'method',
  'target',
  'script',
  'requests',
  'inFlight',
  'early',
] as const;

function value(dice: Dice, depth = 0): unknown {
  switch (dice.whole(0, depth > 2 ? 5 : 8)) {
    case 0:
      return dice.pick([0, 1, -1, 1.5, 1e308, 2 ** 53, 200] as const);
    case 1:
      return dice.chance(0.5);
    case 2:
      return null;
    case 3:
      return dice.pick([
        '',
        'http',
        'tcp',
        'unix',
        'GET',
        '/',
        'tcp:*:1#1',
        'unix:/x#1',
        '\u0000',
        'é',
      ] as const);
    case 4:
      return 'x'.repeat(dice.whole(0, 2000));
    case 5:
      return dice.pick(TYPES);
    case 6:
      return Array.from({ length: dice.whole(0, 16) }, () => value(dice, depth + 1));
    default:
      return fields(dice, depth + 1);
  }
}

function fields(dice: Dice, depth: number): Record<string, unknown> {
  return Object.fromEntries(
    Array.from({ length: dice.whole(0, 8) }, () => [dice.pick(NAMES), value(dice, depth)]),
  );
}

function line(dice: Dice): Buffer {
  const message = {
    ...fields(dice, 0),
    type: dice.pick(TYPES),
    cmd: dice.chance(0.95) ? cmd : 'NODE_X',
  };
  const text = Buffer.from(`${JSON.stringify(message)}\n`);
  // A line that is no JSON ends the worker, which another test shows; too many of them end a slot.
  return dice.chance(0.002) ? mutate(text, dice) : text;
}

function residentMib(pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024;
}

test(`messages (seed ${SEED}) end at most their worker`, async () => {
  const app = join(APPS_FOLDER, 'bad.cjs');
  const pool = await serve([app, '--workers', '2', '--ops', 'off']);
  await pool.waitForTold('all_ready');
  const before = residentMib(pool.pid);
  for (let round = 1; round <= ROUNDS; round += 1) {
    const dice = createDice(SEED * 1_000_003 + round);
    const body = Buffer.concat(Array.from({ length: MESSAGES }, () => line(dice)));
    // Whoever was asked may be gone before it answers.
    await fetch(`${pool.url}/write`, { method: 'POST', body, headers: { connection: 'close' } })
      .then((answer) => answer.text())
      .catch(() => '');
    expect([`seed ${SEED}`, round, isAlive(pool.pid)]).toEqual([`seed ${SEED}`, round, true]);
  }
  expect((await statusOfPool(pool)).pid).toBe(pool.pid);
  expect(readyPids(pool).length).toBeGreaterThanOrEqual(2);
  expect([`seed ${SEED}`, residentMib(pool.pid) - before < GROWTH_MIB_MAX]).toEqual([
    `seed ${SEED}`,
    true,
  ]);
}, 300_000);
