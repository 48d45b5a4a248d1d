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

/** What is played with faults, and takes its time: the rest of the promises is in test/faults. */
const FAULTS = [
  'test/builds/interrupted-attempts.test.ts',
  'test/builds/lost-workers.test.ts',
  'test/builds/lost-workspace.test.ts',
  'test/builds/talk.test.ts',
  'test/database/upgrade.test.ts',
  'test/database/embedded-postgres.test.ts',
  'test/e2e/many-clients.test.ts',
  'test/e2e/restarts.test.ts',
  'test/queue/queue-model.test.ts',
  'test/remote/ledger.test.ts',
  'test/remote/remote-worker.test.ts',
  'test/runtimes/kubernetes/kubernetes.test.ts',
  'test/task-runs/run-tests.test.ts',
  'test/telemetry/traces.test.ts',
  'test/workers/administer-worker.test.ts',
  'test/faults/**/*.test.ts',
];

/**
 * `npm test` runs the first project, `npm run agents` the second, with the real agents, `npm run faults` the third: the
 * promises under faults and hostile input, and `npm run test:kubernetes` the fourth, on the cluster that KUBECONFIG names.
 */
export default defineConfig({
  test: {
    projects: [
      project('tests', ['test/**/*.test.ts'], { exclude: ['test/kubernetes/**', ...FAULTS, ...AGENTS] }),
      project('agents', AGENTS),
      project('faults', FAULTS),
      project('kubernetes', ['test/kubernetes/**/*.test.ts'], { setup: ['test/support/cluster-ready.ts'] }),
    ],
    maxWorkers: 2,
    reporters: ['default', new AgentMatrix(), new SecondTries()],
  },
});

interface ProjectOptions {
  readonly exclude?: string[];
  readonly setup?: readonly string[];
}

function project(name: string, include: string[], { exclude = [], setup = [] }: ProjectOptions = {}) {
  return {
    // graphql has a `development` export condition: without this, tests would load two copies of it.
    ssr: { resolve: { conditions: ['module', 'node'] } },
    test: {
      name,
      include,
      exclude,
      globalSetup: ['test/support/postgres.ts', ...setup],
      testTimeout: 60_000,
      hookTimeout: 60_000,
    },
  };
}
