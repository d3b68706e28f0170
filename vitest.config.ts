import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** CI has two cores; Vitest by itself would leave one of them to itself. */
const CORES = 2;

/** Real processes wait for each other and for deadlines: two files leave half of both cores idle. */
const REAL_FILES_AT_ONCE = 3;

/** What asks as fast as it can, or measures an app under load, fills both cores with two files. */
const LOAD = 'fuzz-*|recycle-*|php-recycling|frameworks|load*|drain|attack*|leak*';

/** What is about memory per second cannot share two cores with other tests that load them. */
const ALONE = 'memory-forecast|heal|box';

/** The longest of their groups. Who began them last would wait for them with idle cores. */
const LONG =
  /\/(recycle-http\d|simulation|suspended|leak-corpus|php-recycling|command|leak-examples|leak)\.test\.ts$/;

class LongFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    const isLong = ({ moduleId }: TestSpecification): number => (LONG.test(moduleId) ? 0 : 1);
    return sorted.toSorted((a, b) => isLong(a) - isLong(b));
  }
}

const TEST_TIMEOUT_MS = 30_000;

export default defineConfig({
  test: {
    pool: 'forks',
    testTimeout: TEST_TIMEOUT_MS,
    hookTimeout: TEST_TIMEOUT_MS,
    globalSetup: 'test/support/build.ts',
    setupFiles: 'test/support/warnings.ts',
    sequence: { sequencer: LongFirst },
    projects: [
      {
        extends: true,
        test: {
          name: 'fast',
          include: ['test/{unit,sim,docs,leak}/**/*.test.ts'],
          maxWorkers: CORES,
          sequence: { groupOrder: 0 },
        },
      },
      {
        extends: true,
        test: {
          name: 'real',
          // No `exclude` here: it would take the place of the one on the command line.
          include: [`test/!(unit|sim|docs|leak)/**/!(${ALONE}|${LOAD}).test.ts`],
          maxWorkers: REAL_FILES_AT_ONCE,
          sequence: { groupOrder: 1 },
        },
      },
      {
        extends: true,
        test: {
          name: 'load',
          include: [`test/!(unit|sim|docs|leak)/**/@(${LOAD}).test.ts`],
          maxWorkers: CORES,
          sequence: { groupOrder: 2 },
        },
      },
      {
        extends: true,
        test: {
          name: 'alone',
          include: [`test/real/@(${ALONE}).test.ts`],
          maxWorkers: 1,
          sequence: { groupOrder: 3 },
        },
      },
    ],
  },
});
