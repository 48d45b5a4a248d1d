/** `kubectl apply -k` and no more: API, worker and migration in pods, with a Postgres outside of the cluster; and a build. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startCallbackReceiver } from '../e2e/callback-receiver.ts';
import { requestData } from '../e2e/graphql-request.ts';
import { CLUSTER_PROBLEM, runKubectl } from '../support/cluster.ts';
import { startGitServer } from '../support/git-server.ts';
import { BUILDS_NAMESPACE, type Installation, install } from '../support/installation.ts';
import { script } from '../support/script.ts';
import { waitFor } from '../support/wait-for.ts';

const INSTALL_MS = 300_000;
const BUILD_MS = 180_000;
const CREATE = `mutation ($input: ProjectInput!) { createProject(input: $input) {
  __typename ... on CreateProjectPayload { project { id } callbackSecret } ... on UserError { message }
} }`;
const START = `mutation ($input: StartBuildInput!) { startBuild(input: $input) {
  __typename ... on StartBuildPayload { build { id status } } ... on UserError { message }
} }`;
const BUILD = `query ($id: ID!) { build(id: $id) {
  status traceId failure { reason message } result { publication commitSha }
  artifacts { nodes { name url sizeBytes } } log { nodes { text } } events(first: 100) { nodes { __typename cursor } }
} }`;

describe.skipIf(CLUSTER_PROBLEM)('Slipway on Kubernetes', () => {
  let slipway: Installation;

  beforeAll(async () => {
    const started = performance.now();
    slipway = await install({ SLIPWAY_CALLBACK_ALLOW_PRIVATE: 'true', SLIPWAY_DEFAULT_PROVIDER: 'scripted' });
    console.log(`installed and ready after ${((performance.now() - started) / 1_000).toFixed(1)} s`);
  }, INSTALL_MS);
  afterAll(() => slipway?.[Symbol.asyncDispose](), INSTALL_MS);

  const ask = (query: string, variables: object) =>
    requestData({ url: `${slipway.url}/graphql`, token: slipway.token }, query, variables);
  const get = (url: string) => fetch(url, { headers: { authorization: `Bearer ${slipway.token}` } });
  /** A URL of this machine's loopback, as pods reach it. */
  const fromPods = async (url: string) =>
    url.replace(new URL(url).host, await slipway.expose(Number(new URL(url).port)));

  test('the API is ready, the database has all migrations, and a worker is online', async () => {
    const answer = await fetch(`${slipway.url}/readyz`);
    expect({ status: answer.status, body: await answer.json() }).toEqual({ status: 200, body: { status: 'ready' } });
    expect(await (await get(`${slipway.url}/metrics`)).text()).toContain('slipway_workers{state="online"} 1');
  });

  test('the worker reaches the cluster with the rights of its own account', async () => {
    const load = "import { openKubeApi } from '/app/src/runtimes/kubernetes/kube-api.ts';";
    const list = "console.log((await api.listPods({ labelSelector: '' })).items.length);";
    const namespace = `process.env.SLIPWAY_KUBERNETES_NAMESPACE`;
    const program = `${load} await using api = await openKubeApi({ namespace: ${namespace} }); ${list}`;
    const run = ['exec', 'deploy/slipway-worker', '--', 'node', '--input-type=module', '-e', program];
    expect(await slipway.kubectl(run)).toMatch(/^\d+\n$/);
  });

  test(
    'a build that the API accepts runs in a pod; its commit, its artifact and its signed callback arrive',
    async () => {
      await using git = await startGitServer();
      const remote = await git.createRepository('site');
      const repositoryUrl = await fromPods(remote.url);
      const project = { name: 'Site', repositoryUrl, settings: { artifacts: ['report.txt'] } };
      const { createProject } = await ask(CREATE, { input: project });
      expect(createProject).toMatchObject({ __typename: 'CreateProjectPayload' });
      await using receiver = await startCallbackReceiver(createProject.callbackSecret);
      const prompt = script({ print: 'in a pod' }, { write: { path: 'report.txt', content: 'all is well\n' } });
      const spec = { prompt, callbackUrl: await fromPods(receiver.url) };
      const { startBuild } = await ask(START, { input: { projectId: createProject.project.id, spec } });
      expect(startBuild).toMatchObject({ __typename: 'StartBuildPayload', build: { status: 'PENDING' } });
      const { id } = startBuild.build;
      const pods = new Set<string>();
      const finished = async () => {
        const names = await runKubectl(['-n', BUILDS_NAMESPACE, 'get', 'pods', '-o', 'name']);
        for (const name of names.split('\n').filter(Boolean)) pods.add(name);
        const { build } = await ask(BUILD, { id });
        return build.result === null ? null : build;
      };
      const build = await waitFor(finished, { deadlineMs: BUILD_MS, everyMs: 200, what: 'the end of the build' });

      expect(build).toMatchObject({ status: 'COMPLETED', failure: null, result: { publication: 'PUSHED' } });
      const log = await promisify(execFile)('git', ['-C', remote.path, 'log', '--format=%H', '--all']);
      expect(log.stdout.trim()).toBe(build.result.commitSha);
      expect([...pods]).toEqual([expect.stringMatching(/^pod\/slipway-/)]);
      expect(JSON.stringify(build.log)).toContain('in a pod');
      expect(build.events.nodes.at(-1)).toMatchObject({ __typename: 'BuildFinished' });
      const [artifact] = build.artifacts.nodes;
      const file = await get(`${slipway.url}${new URL(artifact.url).pathname}`);
      expect({ status: file.status, text: await file.text() }).toEqual({ status: 200, text: 'all is well\n' });
      await waitFor(() => receiver.received.length > 0, { deadlineMs: BUILD_MS, what: 'the callback' });
      expect(receiver.received[0]).toMatchObject({ payload: { task_id: id, status: 'COMPLETED' } });

      const lines = (await slipway.kubectl(['logs', 'deploy/slipway-worker'])).trim().split('\n');
      const said = lines.map((line) => JSON.parse(line)).find(({ msg }) => msg === 'the build has ended');
      expect(said).toMatchObject({ status: 'COMPLETED', trace_id: build.traceId, attempt: 1 });
      expect(id).toContain(said.build);
    },
    BUILD_MS + 60_000,
  );
});
