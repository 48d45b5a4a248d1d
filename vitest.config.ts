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
  'test/builds/budget.test.ts',
  'test/builds/interrupted-attempts.test.ts',
  'test/builds/lost-workers.test.ts',
  'test/builds/lost-workspace.test.ts',
  'test/builds/talk.test.ts',
  'test/builds/wait-for-quota.test.ts',
  'test/callbacks/deliver-callbacks.test.ts',
  'test/cli/doctor-kubernetes.test.ts',
  'test/cli/services.test.ts',
  'test/database/embedded-postgres.test.ts',
  'test/database/upgrade.test.ts',
  'test/e2e/many-clients.test.ts',
  'test/e2e/restarts.test.ts',
  'test/git/hostile-work-tree.test.ts',
  'test/projects/built-in-templates.test.ts',
  'test/queue/queue-model.test.ts',
  'test/remote/ledger.test.ts',
  'test/remote/remote-worker.test.ts',
  'test/remote/tasks.test.ts',
  'test/runtimes/kubernetes/kubernetes.test.ts',
  'test/runtimes/supervisor.test.ts',
  'test/task-runs/run-tests.test.ts',
  'test/telemetry/traces.test.ts',
  'test/workers/administer-worker.test.ts',
  'test/workers/heartbeat.test.ts',
  'test/faults/**/*.test.ts',
];

/**
 * Files that keep nothing in a module: those of one process share what they import. Not those that start many programs,
 * because a process that has grown forks slowly.
 */
const SHARING = [
  ...['artifacts', 'auth', 'callbacks', 'client', 'config', 'credentials', 'database', 'events', 'queue', 'schedules'],
  ...['schema', 'server', 'stats', 'std', 'tasks', 'telemetry'],
].map((folder) => `test/${folder}/**/*.test.ts`);
const ELSEWHERE = ['test/kubernetes/**', ...FAULTS, ...AGENTS];

/**
 * `npm test` runs `tests` and `tests-sharing`, `npm run agents` those with the real agents, `npm run faults` the promises under
 * faults and hostile input, and `npm run test:kubernetes` what needs the cluster that KUBECONFIG names.
 */
export default defineConfig({
  test: {
    projects: [
      project('tests', ['test/**/*.test.ts'], { exclude: [...ELSEWHERE, ...SHARING] }),
      project('tests-sharing', SHARING, { exclude: ELSEWHERE, isolate: false }),
      project('agents', AGENTS),
      project('faults', FAULTS),
      // Several pods come and go in one test, one node has all of them, and a deadline in a test says what it waited for.
      project('kubernetes', ['test/kubernetes/**/*.test.ts'], {
        setup: ['test/support/cluster-ready.ts'],
        timeoutMs: 180_000,
      }),
    ],
    maxWorkers: 2,
    reporters: ['default', new AgentMatrix(), new SecondTries()],
  },
});

interface ProjectOptions {
  readonly exclude?: string[];
  readonly setup?: readonly string[];
  readonly isolate?: boolean;
  readonly timeoutMs?: number;
}

function project(name: string, include: string[], options: ProjectOptions = {}) {
  const { exclude = [], setup = [], isolate = true, timeoutMs = 60_000 } = options;
  return {
    // graphql has a `development` export condition: without this, tests would load two copies of it.
    ssr: { resolve: { conditions: ['module', 'node'] } },
    test: {
      name,
      include,
      exclude,
      isolate,
      globalSetup: ['test/support/postgres.ts', ...setup],
      testTimeout: timeoutMs,
      hookTimeout: timeoutMs,
    },
  };
}
