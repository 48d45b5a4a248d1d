/** Tasks of the types `test` and `deploy` in pods: the checkout, the command and its report are where builds are, too. */
import { describe, expect, onTestFinished, test } from 'vitest';
import { setCredential } from '../../src/credentials/set-credential.ts';
import { cancelTask } from '../../src/tasks/change-task.ts';
import { commitAsPerson } from '../git/sandbox.ts';
import { CLUSTER_PROBLEM, openTestNamespace } from '../support/cluster.ts';
import { openClusterStack } from '../support/cluster-stack.ts';
import { enqueueRun, finishedTask } from '../support/task-runs.ts';
import { waitFor } from '../support/wait-for.ts';

const DEADLINE_MS = 120_000;
const SECRET = 'a key of the deployment';
/** What the deploy command tells: it has its variable, and where it was put. */
const DEPLOY =
  'test -n "$KEY" && echo "key $KEY" && echo "{\\"url\\": \\"https://app.example/$SLIPWAY_ENVIRONMENT\\"}" >"$SLIPWAY_RESULT"';
const RUN = 'cat result.xml >report.xml; echo "ran in $HOSTNAME at $SLIPWAY_COMMIT"; exit $(cat code)\n';
const suite = (second: string) =>
  `<testsuite name="s"><testcase name="a" time="0.5"/><testcase name="b">${second}</testcase></testsuite>`;

async function openWorld(mode: 'pod' | 'exec') {
  const opened = new AsyncDisposableStack();
  onTestFinished(() => opened.disposeAsync());
  const cluster = opened.use(await openTestNamespace());
  const { stack, git, fromPods } = opened.use(await openClusterStack(cluster, { SLIPWAY_KUBERNETES_MODE: mode }));
  const repository = await git.createRepository('app');
  const first = await commitAsPerson(repository.path, { 'run.sh': RUN, 'result.xml': suite(''), code: '0\n' });
  await commitAsPerson(repository.path, { 'result.xml': suite('<failure message="no"/>'), code: '1\n' });
  const project = await stack.createProject({
    repositoryUrl: fromPods(repository.url),
    settings: { testCommand: ['sh', 'run.sh'], testReport: 'report.xml', deployCommand: ['sh', '-c', DEPLOY] },
  });
  const { orchestrator } = stack;
  const deploy = { environment: 'production', variables: [{ name: 'KEY', value: SECRET }] };
  const input = { projectId: project.id, name: 'production', deploy };
  await orchestrator.db.transaction().execute((trx) => setCredential(trx, orchestrator, { input, actor: 'test' }));
  await stack.openWorker(3);
  return {
    ...{ stack, first },
    pods: async () => (await cluster.kubectl(['get', 'pods', '-o', 'name'])).trim(),
    enqueue: (type: 'test' | 'deploy', payload: object) => enqueueRun(stack, project, { type, payload }),
    finished: (id: string) => finishedTask(stack, id, DEADLINE_MS),
  };
}

describe.skipIf(CLUSTER_PROBLEM)('tasks in pods', { timeout: 300_000 }, () => {
  test.each(['pod', 'exec'] as const)('test and deploy as on one machine, and leave nothing: mode %s', async (mode) => {
    const { first, pods, enqueue, finished } = await openWorld(mode);
    const ids = await Promise.all([
      enqueue('test', { commit: first }),
      enqueue('test', { branch: 'main' }),
      enqueue('deploy', { environment: 'production', commit: first }),
    ]);
    const [passed, failed, deployed] = await Promise.all(ids.map(finished));
    expect(passed?.failure).toBeNull();
    expect(passed?.result).toMatchObject({ exitCode: 0, commit: first, report: { total: 2, passed: 2 } });
    expect(passed?.result.output).toContain(`at ${first}`);
    expect(failed?.failure?.reason).toBe('TESTS_FAILED: 1 of 2 tests failed, first s > b.');
    expect(deployed?.failure).toBeNull();
    expect(deployed?.result).toMatchObject({ status: 'DEPLOYED', url: 'https://app.example/production' });
    expect(JSON.stringify(deployed?.result)).not.toContain(SECRET);
    // The project's own pod stays in mode `exec`.
    const stays = mode === 'exec' ? /^pod\/slipway-project-\S+$/ : /^$/;
    await waitFor(async () => stays.test(await pods()), { deadlineMs: 60_000, what: 'the end of their pods' });
  });

  test('a task that is cancelled ends with its pod', async () => {
    const { stack, pods, enqueue, finished } = await openWorld('pod');
    const id = await enqueue('test', { command: ['sh', '-c', 'setsid sleep 600 & sleep 600'] });
    await waitFor(async () => (await pods()) !== '', { deadlineMs: 60_000, what: 'its pod' });
    await cancelTask(stack.orchestrator, { id, reason: 'enough' }, 'test');
    expect(await finished(id)).toMatchObject({ status: 'CANCELLED', cancelReason: 'enough' });
    await waitFor(async () => (await pods()) === '', { deadlineMs: 60_000, what: 'the end of its pod' });
  });
});
