/** Tasks of the type `test` whose worker dies. */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { rescueTasks } from '../../src/tasks/rescue-tasks.ts';
import { findTask } from '../../src/tasks/task.ts';
import { commitAsPerson } from '../git/sandbox.ts';
import { startGitServer } from '../support/git-server.ts';
import { openTestStack } from '../support/orchestrator.ts';
import { enqueueRun, finishedTask, HANGS, isAlive, pidOf } from '../support/task-runs.ts';
import { waitFor } from '../support/wait-for.ts';
import { startWorkerProcess } from '../support/worker-process.ts';

test('when a worker is killed, its task is run again, and what it has left is ended before', async () => {
  await using server = await startGitServer();
  const repository = await server.createRepository('app');
  await commitAsPerson(repository.path, { 'a.txt': 'a' });
  await using stack = await openTestStack();
  const project = await stack.createProject({ repositoryUrl: repository.url });
  const child = await startWorkerProcess(stack);
  const mark = join(stack.dataFolder, 'ran');
  const script = `if [ -e ${mark} ]; then exit 0; fi; touch ${mark}; ${HANGS[2]}`;
  const payload = { command: ['sh', '-c', script] };
  const rule = { leaseSeconds: 5, retry: { backoffSeconds: 0 } };
  const id = await enqueueRun(stack, project, { type: 'test', payload, ...rule });
  const pid = await pidOf(stack, id);
  child.kill('SIGKILL');
  await stack.openWorker(1);
  const isRescued = async () => {
    await rescueTasks(stack.orchestrator);
    return ((await findTask(stack.orchestrator.db, id))?.attemptNo ?? 0) > 1;
  };
  expect(await isAlive(pid)).toBe(true);
  await waitFor(isRescued, { what: 'the end of the lease', everyMs: 100 });
  expect(await finishedTask(stack, id)).toMatchObject({ status: 'COMPLETED', attemptNo: 2, failures: 1 });
  expect(await isAlive(pid)).toBe(false);
});
