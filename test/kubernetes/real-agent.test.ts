/** A build in a pod with the real Claude Code, in an image of deploy/agent.Dockerfile, and a scripted model on this machine. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { startBuild } from '../../src/builds/start-build.ts';
import { readEvents } from '../../src/events/read-events.ts';
import { AGENTS_IMAGE, CLUSTER_PROBLEM, HOST_FROM_PODS, openTestNamespace, runKubectl } from '../support/cluster.ts';
import { openClusterStack } from '../support/cluster-stack.ts';
import { openFakeModel } from '../support/fake-model/fake-model.ts';
import { openTcpProxy } from '../support/tcp-proxy.ts';
import { waitFor } from '../support/wait-for.ts';

const BUILD_MS = 180_000;
const API_KEY = 'sk-ant-of-a-test';

const problem = CLUSTER_PROBLEM || (await findProblem());
if (problem !== CLUSTER_PROBLEM) console.log(`A real agent in a pod is skipped: ${problem}`);

/** Why there is no agent to test with; empty when there is one. */
async function findProblem(): Promise<string> {
  const names = await runKubectl(['get', 'nodes', '-o', 'jsonpath={.items[*].status.images[*].names[*]}']);
  if (names.split(' ').includes(AGENTS_IMAGE)) return '';
  return `the cluster's nodes lack ${AGENTS_IMAGE}; deploy/build-image makes it of deploy/agent.Dockerfile.`;
}

test.skipIf(problem)(
  'Claude Code works in a pod: its changes are pushed, and its key is in no pod',
  async () => {
    await using opened = new AsyncDisposableStack();
    const cluster = opened.use(await openTestNamespace());
    const model = opened.use(await openFakeModel());
    const proxy = opened.use(await openTcpProxy(Number(new URL(model.url).port), HOST_FROM_PODS));
    const { stack, git, fromPods } = opened.use(
      await openClusterStack(cluster, {
        SLIPWAY_KUBERNETES_IMAGE: AGENTS_IMAGE,
        SLIPWAY_DEFAULT_PROVIDER: 'claude-code',
        ANTHROPIC_API_KEY: API_KEY,
        ANTHROPIC_BASE_URL: `http://${HOST_FROM_PODS}:${proxy.port}`,
      }),
    );
    const remote = await git.createRepository('project');
    const project = await stack.createProject({ repositoryUrl: fromPods(remote.url) });
    await stack.openWorker();
    const begun = performance.now();
    const spec = { prompt: 'Say hello. [[script:hello]]' };
    const { build } = await startBuild(stack.orchestrator, { projectId: project.id, spec }, 'test');
    const events = () => readEvents(stack.orchestrator.db, { buildId: build.id, after: 0, limit: 200 });
    await waitFor(async () => (await events()).some(({ type }) => type === 'AGENT_ACTIVITY'), {
      deadlineMs: BUILD_MS,
      what: 'the agent',
    });
    console.log(`Claude Code in a new pod: its first word after ${((performance.now() - begun) / 1_000).toFixed(1)} s`);
    const pods = await cluster.kubectl(['get', 'pods', '-l', `slipway.dev/build=${build.id}`, '-o', 'yaml']);
    expect(pods).toContain(AGENTS_IMAGE);
    expect(pods).not.toContain(API_KEY);
    const ended = await stack.finished(build.id, BUILD_MS);

    expect(ended).toMatchObject({ status: 'COMPLETED', failure: null, result: { publication: 'PUSHED' } });
    expect(ended.result?.usage?.turns).toBeGreaterThan(0);
    const { stdout } = await promisify(execFile)('git', ['-C', remote.path, 'show', 'main:hello.txt']);
    expect(stdout).toContain('hello');
    expect(JSON.stringify(await events())).not.toContain(API_KEY);
  },
  2 * BUILD_MS,
);
