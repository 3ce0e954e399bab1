import { defineConfig } from 'vitest/config';

/** Tests that build network namespaces: slow, and each needs the machine for itself. */
const END_TO_END = ['test/end-to-end/**/*.test.ts', 'test/live/**/*.test.ts'];

export default defineConfig({
  test: {
    reporters: ['default', './test/support/summary-reporter.ts'],
    projects: [
      {
        test: {
          name: 'fast',
          include: ['test/**/*.test.ts'],
          exclude: END_TO_END,
          testTimeout: 30_000,
          hookTimeout: 30_000,
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          name: 'end-to-end',
          include: END_TO_END,
          testTimeout: 120_000,
          hookTimeout: 120_000,
          fileParallelism: false,
          maxWorkers: 1,
          // After the fast tests, so that nothing competes with the packets for the CPU.
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
