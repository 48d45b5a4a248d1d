import { defineConfig } from 'vitest/config';

/** `npm test` runs the first project, `npm run faults` the second: the promises under faults and hostile input. */
export default defineConfig({
  test: {
    projects: [
      project('tests', ['test/**/*.test.ts'], ['test/faults/**']),
      project('faults', ['test/faults/**/*.test.ts']),
    ],
    maxWorkers: 2,
  },
});

function project(name: string, include: string[], exclude: string[] = []) {
  return {
    // graphql has a `development` export condition: without this, tests would load two copies of it.
    ssr: { resolve: { conditions: ['module', 'node'] } },
    test: {
      name,
      include,
      exclude,
      globalSetup: ['test/support/postgres.ts'],
      testTimeout: 30_000,
      hookTimeout: 60_000,
    },
  };
}
