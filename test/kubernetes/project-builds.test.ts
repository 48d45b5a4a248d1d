/** Builds of a project in one pod that stays: mode `exec`. */
import { execFileSync } from 'node:child_process';
import { describe, expect, onTestFinished, test } from 'vitest';
import { startBuild } from '../../src/builds/start-build.ts';
import { CLUSTER_PROBLEM, openTestNamespace } from '../support/cluster.ts';
import { openClusterStack } from '../support/cluster-stack.ts';
import { script } from '../support/script.ts';
import { waitFor } from '../support/wait-for.ts';

const DEADLINE_MS = 120_000;

describe.skipIf(CLUSTER_PROBLEM)('builds in the pod of their project', { timeout: 300_000 }, () => {
  test('builds one after the other and at a time are in one pod, and leave nothing in it', async () => {
    const opened = new AsyncDisposableStack();
    onTestFinished(() => opened.disposeAsync());
    const cluster = opened.use(await openTestNamespace());
    const { stack, git, fromPods } = opened.use(await openClusterStack(cluster, { SLIPWAY_KUBERNETES_MODE: 'exec' }));
    const remote = await git.createRepository('project');
    const project = await stack.createProject({ repositoryUrl: fromPods(remote.url) });
    await stack.openWorker(3);
    const run = async (name: string) => {
      const prompt = script({ write: { path: `${name}.txt`, content: name } });
      const { build } = await startBuild(
        stack.orchestrator,
        { projectId: project.id, spec: { prompt, branch: name } },
        'test',
      );
      return stack.finished(build.id, DEADLINE_MS);
    };
    const first = await run('main');
    const builds = [first, ...(await Promise.all(['a', 'b', 'c'].map(run)))];
    for (const build of builds) expect(build).toMatchObject({ status: 'COMPLETED', failure: null, attemptNo: 1 });
    const heads = builds.map(({ result }) =>
      execFileSync('git', ['--git-dir', remote.path, 'rev-parse', `refs/heads/${result?.branch}`], {
        encoding: 'utf8',
      }).trim(),
    );
    expect(heads).toEqual(builds.map(({ result }) => result?.commitSha));
    const pods = (await cluster.kubectl(['get', 'pods', '-o', 'name'])).trim().split('\n');
    expect(pods).toEqual([`pod/slipway-project-${project.id}`]);
    const list = ['exec', pods[0] ?? '', '-c', 'git', '--', 'ls', '/slipway/builds', '/slipway/git'];
    // A build has ended before its folders are removed.
    const isEmpty = async () => !/work|[0-9a-f]{8}-[0-9a-f]{4}/.test(await cluster.kubectl(list));
    await waitFor(isEmpty, { deadlineMs: DEADLINE_MS, everyMs: 250, what: 'the end of all folders' });
  });
});
