/** The matrix of failpoints: builds survive the death, the sleep and the mistake of a process at every point of their life. */
import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { FAILPOINTS } from '../../src/std/failpoint.ts';
import { type GitServer, startGitServer } from '../support/git-server.ts';
import { failpointCases, nameOf } from './failpoint-cases.ts';
import { runFailpointCase } from './run-failpoint-case.ts';

// Most of a case is waiting for a lease to run out.
vi.setConfig({ maxConcurrency: 8, testTimeout: 400_000 });

const gitPassword = `git-${randomBytes(12).toString('hex')}`;
const cases = failpointCases();
const total = { cases: 0, builds: 0, attempts: 0, events: 0, commits: 0, deliveries: 0, violations: 0, maxStuckMs: 0 };
let git: GitServer;

beforeAll(async () => {
  git = await startGitServer({ password: gitPassword });
});

afterAll(async () => {
  await git.close();
  console.log(`failpoints: ${FAILPOINTS.length} points, ${cases.length} cases in all; ${JSON.stringify(total)}`);
});

test.concurrent.each(cases.map((entry) => [nameOf(entry), entry] as const))('%s', async (_name, entry) => {
  const { verdict, problems } = await runFailpointCase(entry, git, gitPassword);
  const { counts, violations } = verdict;
  total.cases += 1;
  for (const name of ['builds', 'attempts', 'events', 'commits', 'deliveries'] as const) total[name] += counts[name];
  total.violations += violations.length;
  total.maxStuckMs = Math.max(total.maxStuckMs, counts.maxStuckMs);
  expect({ violations, problems }).toEqual({ violations: [], problems: [] });
});
