import { expect, test } from 'vitest';
import { play } from './simulate.ts';

const one = process.env['SIM_SEED'];
const seeds = Number(process.env['SIM_SEEDS'] ?? 2000);
const first = Number(process.env['SIM_FIRST'] ?? 1);

test.runIf(one === undefined)(`the rules hold in ${seeds} games`, { timeout: 1e9 }, () => {
  const sum = { steps: 0, spawned: 0, recycled: 0, crashed: 0, bootFailed: 0 };
  const outcomes = new Map<string, number>();
  const fouls: string[] = [];
  const began = process.cpuUsage();
  for (let seed = first; seed < first + seeds && fouls.length < 10; seed += 1) {
    try {
      const result = play(seed);
      sum.steps += result.steps;
      sum.spawned += result.spawned;
      sum.recycled += result.recycled;
      sum.crashed += result.crashed;
      sum.bootFailed += result.bootFailed;
      outcomes.set(result.outcome, (outcomes.get(result.outcome) ?? 0) + 1);
    } catch (error) {
      fouls.push((error as Error).message);
    }
  }
  const cpu = process.cpuUsage(began).user / 1e6;
  console.log(cpu, sum, outcomes);
  expect(fouls).toEqual([]);
});

test.runIf(one !== undefined)(`seed ${one}`, () => {
  try {
    console.log(play(Number(one), true));
  } catch (error) {
    console.log((error as Error).cause);
    throw error;
  }
});
