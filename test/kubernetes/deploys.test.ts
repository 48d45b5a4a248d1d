/** Deployments into a real cluster: manifests that it takes, one that it refuses, and a roll-out that never ends. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { setCredential } from '../../src/credentials/set-credential.ts';
import type { Project } from '../../src/projects/project.ts';
import { commitAsPerson } from '../git/sandbox.ts';
import { AGENT_IMAGE, CLUSTER_PROBLEM, openTestNamespace, type TestNamespace } from '../support/cluster.ts';
import { type GitServer, startGitServer } from '../support/git-server.ts';
import { openTestStack, type TestStack } from '../support/orchestrator.ts';
import { enqueueRun, finishedTask } from '../support/task-runs.ts';

const container = (image: string) => ({
  ...{ name: 'web', image, imagePullPolicy: 'Never', command: ['sleep', '600'] },
  resources: { requests: { cpu: '10m', memory: '16Mi' }, limits: { cpu: '100m', memory: '64Mi' } },
});

const deployment = (name: string, image: string) => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name },
  spec: {
    replicas: 1,
    selector: { matchLabels: { app: name } },
    template: { metadata: { labels: { app: name } }, spec: { containers: [container(image)] } },
  },
});

const settings = (data: unknown) => ({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'settings' }, data });

describe.skipIf(CLUSTER_PROBLEM)('deployments into a cluster', { timeout: 240_000 }, () => {
  let cluster: TestNamespace;
  let server: GitServer;
  let stack: TestStack;
  let project: Project;

  beforeAll(async () => {
    [cluster, server] = await Promise.all([openTestNamespace(), startGitServer()]);
    const repository = await server.createRepository('app');
    await commitAsPerson(repository.path, {
      'good/web.json': JSON.stringify(deployment('web', AGENT_IMAGE)),
      'good/settings.json': JSON.stringify(settings({ colour: 'blue' })),
      'refused/settings.json': JSON.stringify(settings({ colour: { not: 'a text' } })),
      'stuck/web.json': JSON.stringify(deployment('stuck', 'docker.io/local/no-such-image:1')),
    });
    stack = await openTestStack();
    project = await stack.createProject({ repositoryUrl: repository.url });
    const { orchestrator } = stack;
    const deploy = {
      environment: 'test',
      kubeconfig: await cluster.kubectl(['config', 'view', '--raw', '--minify', '--flatten']),
    };
    const input = { projectId: project.id, name: 'cluster', deploy };
    await orchestrator.db.transaction().execute((trx) => setCredential(trx, orchestrator, { input, actor: 'test' }));
    await stack.openWorker(1);
  }, 120_000);

  afterAll(async () => {
    await stack[Symbol.asyncDispose]();
    await Promise.all([server.close(), cluster[Symbol.asyncDispose]()]);
  }, 60_000);

  async function deploy(folder: string, more: object = {}) {
    const place = { environment: 'test', namespace: cluster.namespace, manifests: [`${folder}/**`] };
    const payload = { ...place, timeoutSeconds: 60, ...more };
    return finishedTask(stack, await enqueueRun(stack, project, { type: 'deploy', payload }), 120_000);
  }

  test('what is applied is there, is ready, and is the same when it is applied again', async () => {
    for (let times = 0; times < 2; times += 1) {
      const deployed = await deploy('good');
      expect(deployed.failure).toBeNull();
      expect(deployed.result).toMatchObject({
        objects: [
          { kind: 'ConfigMap', name: 'settings', status: 'APPLIED' },
          { kind: 'Deployment', name: 'web', status: 'READY' },
        ],
      });
    }
    const found = await cluster.kubectl(['get', 'configmap', 'settings', '-o', 'json', '--show-managed-fields']);
    expect(JSON.parse(found)).toMatchObject({
      data: { colour: 'blue' },
      metadata: { managedFields: [{ manager: 'slipway', operation: 'Apply' }] },
    });
  });

  test('what the cluster refuses, and what does not become ready in time, is said', async () => {
    expect((await deploy('refused')).failure?.reason).toMatch(/^DEPLOY_FAILED: ConfigMap settings: /);
    const stuck = await deploy('stuck', { timeoutSeconds: 5 });
    expect(stuck.failure?.reason).toMatch(/^TIMEOUT: Deployment stuck was not ready in time: /);
  });
});
