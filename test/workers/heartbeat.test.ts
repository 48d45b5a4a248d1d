import { sql } from 'kysely';
import { expect, test } from 'vitest';
import { startBuild } from '../../src/builds/start-build.ts';
import type { Orchestrator } from '../../src/orchestrator.ts';
import { Worker } from '../../src/workers/worker.ts';
import { openTestStack } from '../support/orchestrator.ts';
import { script } from '../support/script.ts';
import { waitFor } from '../support/wait-for.ts';

test('a workspace that does not answer costs no lease', async () => {
  await using stack = await openTestStack();
  const { orchestrator } = stack;
  let renewals = 0;
  const silent: Orchestrator['runtime'] = {
    ...orchestrator.runtime,
    renew() {
      renewals += 1;
      return new Promise(() => {});
    },
  };
  await using worker = new Worker({ ...orchestrator, runtime: silent }, { name: 'test', capacity: 1 });
  await worker.open();
  const { id: projectId } = await stack.createProject();
  const spec = { prompt: script({ wait: 60 }) };
  const { build } = await startBuild(orchestrator, { projectId, spec }, 'test');
  const readLease = async () => {
    const { rows } = await sql<{ lease_until: Date | null }>`
      select lease_until from build_audit where id = ${build.id}`.execute(orchestrator.db);
    return rows[0]?.lease_until?.getTime() ?? 0;
  };
  await waitFor(() => renewals > 0, { what: 'the first renewal' });
  const first = await readLease();
  const isRenewed = async () => (await readLease()) > first + 5_000;
  await waitFor(isRenewed, { deadlineMs: 30_000, everyMs: 200, what: 'a later lease' });
  // The call that hangs is not made again.
  expect(renewals).toBe(1);
});
