/** When the kernel's shortage of memory is worth a word: control groups from a fixture tree. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { watchPressure } from '../../src/supervisor/pressure.ts';

const MIB = 2 ** 20;

interface Files {
  high?: number;
  oomKill?: number;
  full?: string;
  usedMib?: number;
}

function watch(first: Files): { look: (files: Files) => number } {
  const folder = mkdtempSync(join(tmpdir(), 'cofferdam-cgroup-'));
  const write = ({ high = 0, oomKill = 0, full = '0.00', usedMib = 100 }: Files): void => {
    const text = `some avg10=50.00 avg60=0.00\nfull avg10=${full} avg60=0.00 avg300=0.00 total=1\n`;
    writeFileSync(join(folder, 'memory.events'), `high ${high}\nmax 0\noom_kill ${oomKill}\n`);
    writeFileSync(join(folder, 'memory.pressure'), text);
    writeFileSync(join(folder, 'memory.max'), `${512 * MIB}\n`);
    writeFileSync(join(folder, 'memory.current'), `${usedMib * MIB}\n`);
    writeFileSync(join(folder, 'memory.stat'), 'inactive_file 0\n');
  };
  write(first);
  let count = 0;
  const pressure = watchPressure({
    onPressure: () => (count += 1),
    cgroup: { version: 2, directories: [folder] },
    totalRamBytes: 8192 * MIB,
  });
  onTestFinished(() => {
    pressure.stop();
    rmSync(folder, { recursive: true });
  });
  return {
    look(files) {
      write(files);
      pressure.look();
      return count;
    },
  };
}

test('memory.high and OOM kills count when they rise, not for being there', () => {
  const { look } = watch({ high: 7, oomKill: 2 });
  expect(look({ high: 7, oomKill: 2 })).toBe(0);
  expect(look({ high: 8, oomKill: 2 })).toBe(1);
  expect(look({ high: 8, oomKill: 3 })).toBe(2);
  expect(look({ high: 8, oomKill: 3 })).toBe(2);
});

test('stalls count only with little head-room', () => {
  const { look } = watch({});
  expect(look({ full: '35.20', usedMib: 300 })).toBe(0);
  expect(look({ full: '3.00', usedMib: 500 })).toBe(0);
  expect(look({ full: '35.20', usedMib: 500 })).toBe(1);
});
