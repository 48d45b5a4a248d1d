/** The matrix of failpoints: builds, tasks and schedules survive the death, the sleep and the mistake of a process at every point of their life. */
import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { FAILPOINTS } from '../../src/std/failpoint.ts';
import { type GitServer, startGitServer } from '../support/git-server.ts';
import { failpointCases, nameOf } from './failpoint-cases.ts';
import { runFailpointCase } from './run-failpoint-case.ts';

/** Of test files that run side by side, and of cases in each: most of a case is waiting for a lease to run out. */
const PARTS = 2;
const CONCURRENCY = 10;
/** 0, 1 or 2: every third case only, of each kind; all of them without it. */
const THIRD = process.env.SLIPWAY_TEST_THIRD;
const COUNTED = [
  ...(['builds', 'attempts', 'events', 'commits', 'deliveries'] as const),
  ...(['tasks', 'taskAttempts', 'claims', 'fires'] as const),
];

/** The tests of one part of the matrix, counted from 0. */
export function testFailpoints(part: number): void {
  vi.setConfig({ maxConcurrency: CONCURRENCY, testTimeout: 400_000 });
  const gitPassword = `git-${randomBytes(12).toString('hex')}`;
  const all = failpointCases();
  const own = all.filter((_entry, index) => index % PARTS === part);
  // Neighbours differ in their fault: pairs, so that each third has all of them.
  const cases = THIRD ? own.filter((_entry, index) => Math.floor(index / 2) % 3 === Number(THIRD)) : own;
  const total = {
    cases: 0,
    builds: 0,
    attempts: 0,
    events: 0,
    commits: 0,
    deliveries: 0,
    tasks: 0,
    taskAttempts: 0,
    claims: 0,
    fires: 0,
    violations: 0,
    maxStuckMs: 0,
    /** That all cases took together. */
    seconds: 0,
  };
  let git: GitServer;

  beforeAll(async () => {
    git = await startGitServer({ password: gitPassword });
  });

  afterAll(async () => {
    await git.close();
    const of = `${FAILPOINTS.length} points and ${all.length} cases in all`;
    console.log(`failpoints, part ${part + 1} of ${PARTS}: ${of}; ${JSON.stringify(total)}`);
  });

  test.concurrent.each(cases.map((entry) => [nameOf(entry), entry] as const))('%s', async (_name, entry) => {
    const began = performance.now();
    const { verdict, problems } = await runFailpointCase(entry, git, gitPassword);
    total.seconds += Math.round((performance.now() - began) / 1_000);
    const { counts, violations } = verdict;
    total.cases += 1;
    for (const name of COUNTED) total[name] += counts[name];
    total.violations += violations.length;
    total.maxStuckMs = Math.max(total.maxStuckMs, counts.maxStuckMs);
    expect({ violations, problems }).toEqual({ violations: [], problems: [] });
  });
}
