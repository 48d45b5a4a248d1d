import { defineConfig } from 'vitest/config';

export default defineConfig({
  // graphql has a `development` export condition: without this, tests would load two copies of it.
  ssr: { resolve: { conditions: ['module', 'node'] } },
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/support/postgres.ts'],
    testTimeout: 30_000,
    hookTimeout: 60_000,
    maxWorkers: 2,
  },
});
