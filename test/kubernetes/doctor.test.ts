/** `slipway doctor --kubernetes` on a real cluster: as the shipped account, as one without rights, as an administrator. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { NEEDED_RIGHTS } from '../../src/cli/doctor-kubernetes-access.ts';
import type { Finding } from '../../src/cli/finding.ts';
import { type RunningCommand, startCommand } from '../cli/run-command.ts';
import {
  AGENT_IMAGE,
  CLUSTER_PROBLEM,
  HOST_FROM_PODS,
  openTestNamespace,
  SLIPWAY_IMAGE,
  type TestNamespace,
} from '../support/cluster.ts';
import { moveTo, renderOverlay } from '../support/manifests.ts';
import { openTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts';
import { waitFor } from '../support/wait-for.ts';

const DOCTOR_MS = 120_000;
const AMOUNTS = { cpu: '50m', memory: '64Mi', 'ephemeral-storage': '64Mi' };
const RESOURCES = { requests: AMOUNTS, limits: { cpu: '2', memory: '1Gi', 'ephemeral-storage': '2Gi' } };
const POD = JSON.stringify({ imagePullPolicy: 'Never', resources: RESOURCES, gitResources: RESOURCES });

describe.skipIf(CLUSTER_PROBLEM)('doctor --kubernetes', { timeout: 3 * DOCTOR_MS }, () => {
  let cluster: TestNamespace;
  /** The API server, where pods find it, too. */
  let server: TcpProxy;
  let folder: string;

  beforeAll(async () => {
    cluster = await openTestNamespace('slipway-doctor');
    folder = await mkdtemp(join(tmpdir(), 'slipway-doctor-'));
    const view = ['config', 'view', '--minify', '-o', 'jsonpath={.clusters[0].cluster.server}'];
    server = await openTcpProxy(Number(new URL(await cluster.kubectl(view)).port), HOST_FROM_PODS);
  });
  afterAll(async () => {
    await server?.[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
    await cluster[Symbol.asyncDispose]();
  });

  /** Path of a kubeconfig file of a new account without any right. */
  async function openAccount(name: string): Promise<string> {
    await cluster.kubectl(['create', 'serviceaccount', name]);
    const token = (await cluster.kubectl(['create', 'token', name])).trim();
    const address = `https://${HOST_FROM_PODS}:${server.port}`;
    const path = join(folder, name);
    const kubeconfig = {
      apiVersion: 'v1',
      kind: 'Config',
      clusters: [{ name: 'c', cluster: { server: address, 'insecure-skip-tls-verify': true } }],
      users: [{ name, user: { token } }],
      contexts: [{ name, context: { cluster: 'c', user: name, namespace: cluster.namespace } }],
      'current-context': name,
    };
    await writeFile(path, JSON.stringify(kubeconfig));
    return path;
  }

  function start(kubeconfig: string, changes: Readonly<Record<string, string>> = {}): RunningCommand {
    const environment = {
      SLIPWAY_PORT: '0',
      SLIPWAY_DATA: join(folder, 'data'),
      SLIPWAY_RUNTIME: 'kubernetes',
      KUBECONFIG: kubeconfig,
      SLIPWAY_KUBERNETES_NAMESPACE: cluster.namespace,
      SLIPWAY_KUBERNETES_IMAGE: AGENT_IMAGE,
      SLIPWAY_KUBERNETES_TOOLS_IMAGE: SLIPWAY_IMAGE,
      SLIPWAY_KUBERNETES_POD: POD,
      ...changes,
    };
    return startCommand(['doctor', '--json'], { environment });
  }

  async function doctor(...given: Parameters<typeof start>) {
    const { exitCode, stdout } = await start(...given).ended;
    const { findings } = JSON.parse(stdout) as { findings: Finding[] };
    const all = (name: string) => findings.filter((finding) => finding.name === name);
    return { exitCode, all, find: (name: string) => all(name)[0] };
  }

  const podNames = () => cluster.kubectl(['get', 'pods', '-o', 'name']);

  test('asks for what the shipped Role gives', async () => {
    const [role] = (await renderOverlay('kubernetes-1.20')).filter(({ kind }) => kind === 'Role');
    const shipped = role?.rules?.flatMap(({ resources, verbs }) => resources.map((resource) => ({ resource, verbs })));
    expect(shipped).toEqual(NEEDED_RIGHTS);
  });

  test('an account with the shipped Role lacks nothing and has nothing too much, and its pod is tried and removed', async () => {
    const kubeconfig = await openAccount('slipway-worker');
    const [role] = (await renderOverlay('kubernetes-1.20')).filter(({ kind }) => kind === 'Role');
    if (role) await cluster.apply(...moveTo(cluster.namespace, [role]));
    const account = `--serviceaccount=${cluster.namespace}:slipway-worker`;
    await cluster.kubectl(['create', 'rolebinding', 'worker', '--role=slipway-worker', account]);
    const { exitCode, find } = await doctor(kubeconfig);
    console.log(`the pod ${find('pod')?.message}; ${find('pod storage')?.message}; ${find('pod tools')?.message}`);
    expect(exitCode).toBe(0);
    for (const name of ['cluster', 'namespace', 'permissions', 'rights', 'pod', 'pod git']) {
      expect(find(name)).toMatchObject({ name, level: 'ok' });
    }
    expect(find('pod tools')?.message).toMatch(/^Node v\d+/);
    expect(find('pod storage')?.message).toMatch(/^2Gi for a build, .* free on its node$/);
    expect(find('pod agents')?.message).toBe('no agent is in the image');
    // Whatever the network plugin can: no policy was made here.
    const reached = `no NetworkPolicy keeps a pod without network from ${HOST_FROM_PODS}:${server.port}`;
    expect(find('network')).toMatchObject({ level: 'warn', message: expect.stringContaining(reached) });
    expect(await podNames()).toBe('');
  });

  test('an account without rights is told each, and the lines that it is told give them', async () => {
    const kubeconfig = await openAccount('newcomer');
    const before = await doctor(kubeconfig);
    expect(before.exitCode).toBe(1);
    expect(before.all('permissions').map(({ message }) => message)).toEqual([
      'missing: create, get, list, watch, patch, delete on pods',
      'missing: create, get on pods/exec',
      'missing: get on pods/log',
    ]);
    for (const { remedy } of before.all('permissions')) {
      const environment = { env: { ...process.env, KUBECONFIG: cluster.kubeconfig } };
      await promisify(execFile)('/bin/sh', ['-c', remedy ?? ''], environment);
    }
    const after = await doctor(kubeconfig);
    expect({ exitCode: after.exitCode, level: after.find('permissions')?.level }).toEqual({ exitCode: 0, level: 'ok' });
  });

  test('an administrator may too much, and an image that is not there is told in the words of Kubernetes', async () => {
    const changes = { SLIPWAY_KUBERNETES_IMAGE: 'docker.io/local/nowhere:1' };
    const { exitCode, find } = await doctor(cluster.kubeconfig, changes);
    expect(exitCode).toBe(1);
    expect(find('rights')?.message).toMatch(/Secrets.*nodes.*everything in the cluster/);
    expect(find('namespace')).toMatchObject({ level: 'warn', message: expect.stringContaining('no Pod Security') });
    expect(find('image')).toMatchObject({ level: 'fail', message: expect.stringContaining('ErrImageNeverPull') });
    expect(find('network')?.message).toContain('there is no NetworkPolicy');
    expect(await podNames()).toBe('');
  });

  test('after Ctrl-C the pod is gone', async () => {
    const command = start(cluster.kubeconfig);
    await waitFor(async () => (await podNames()) !== '', { everyMs: 200, what: 'the pod' });
    command.signal('SIGINT');
    expect((await command.ended).exitCode).toBe(2);
    expect(await podNames()).toBe('');
  });
});
