import { defineConfig } from 'vitest/config';

/** Real processes need the machine for themselves: more at once only makes each of them slow. */
const REAL_FILES_AT_ONCE = 2;

/** What is about memory per second cannot share two cores with other tests that load them. */
const ALONE = 'memory-forecast|heal|box';

const TEST_TIMEOUT_MS = 30_000;

export default defineConfig({
  test: {
    pool: 'forks',
    testTimeout: TEST_TIMEOUT_MS,
    hookTimeout: TEST_TIMEOUT_MS,
    globalSetup: 'test/support/build.ts',
    setupFiles: 'test/support/warnings.ts',
    projects: [
      {
        extends: true,
        test: {
          name: 'fast',
          include: ['test/{unit,sim,docs,leak}/**/*.test.ts'],
          sequence: { groupOrder: 0 },
        },
      },
      {
        extends: true,
        test: {
          name: 'real',
          // No `exclude` here: it would take the place of the one on the command line.
          include: [`test/!(unit|sim|docs|leak)/**/!(${ALONE}).test.ts`],
          maxWorkers: REAL_FILES_AT_ONCE,
          sequence: { groupOrder: 1 },
        },
      },
      {
        extends: true,
        test: {
          name: 'alone',
          include: [`test/real/@(${ALONE}).test.ts`],
          maxWorkers: 1,
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
});
