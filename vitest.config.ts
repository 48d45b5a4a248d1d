import { defineConfig } from 'vitest/config';
import { AgentMatrix } from './test/support/agent-matrix.ts';
import { SecondTries } from './test/support/second-tries.ts';

/** The conformance tests of the agents, the real programs and the scripted one, and builds with real agents. */
const AGENTS = [
  ...['acp', 'claude-code', 'codex', 'gemini', 'opencode', 'scripted'].flatMap((name) => [
    `test/agents/${name}.test.ts`,
    `test/agents/${name}-talk.test.ts`,
  ]),
  'test/builds/follow-up.test.ts',
  'test/builds/lost-session.test.ts',
  'test/builds/quota-session.test.ts',
  'test/builds/session-usage.test.ts',
  'test/e2e/real-agent.test.ts',
];

/**
 * `npm test` runs the first project, `npm run agents` the second, with the real agents, and `npm run faults` the third: the
 * promises under faults and hostile input.
 */
export default defineConfig({
  test: {
    projects: [
      project('tests', ['test/**/*.test.ts'], ['test/faults/**', ...AGENTS]),
      project('agents', AGENTS),
      project('faults', ['test/faults/**/*.test.ts']),
    ],
    maxWorkers: 2,
    reporters: ['default', new AgentMatrix(), new SecondTries()],
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
      testTimeout: 60_000,
      hookTimeout: 60_000,
    },
  };
}
