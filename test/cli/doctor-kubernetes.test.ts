import type { IncomingMessage, ServerResponse } from 'node:http';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { WebSocket } from 'ws';
import type { Finding } from '../../src/cli/finding.ts';
import { readInstallation } from '../../src/database/installation.ts';
import { LABELS } from '../../src/runtimes/kubernetes/pod-layout.ts';
import { VERSION } from '../../src/std/version.ts';
import { openTestDatabase } from '../support/database.ts';
import {
  endExec,
  FAKE_NAMESPACE,
  type FakeKubeApi,
  type FakePod,
  openFakeKubeApi,
  sayExec,
  sendStatus,
} from '../support/fake-kube-api.ts';
import { waitFor } from '../support/wait-for.ts';
import { type RunningCommand, startCommand } from './run-command.ts';

const WORKER = 'system:serviceaccount:slipway:slipway-worker';
const IMAGES = {
  SLIPWAY_KUBERNETES_IMAGE: 'registry.example.com/agents:1',
  SLIPWAY_KUBERNETES_TOOLS_IMAGE: 'registry.example.com/slipway:1',
};
const ANSWERS = {
  version: VERSION,
  problem: null,
  freeBytes: 2 ** 40,
  tried: ['10.0.0.1:443'],
  reached: [] as string[],
};

let kube: FakeKubeApi;
/** Such as `list secrets`. */
let allowed: (right: string) => boolean;

beforeEach(async () => {
  kube = await openFakeKubeApi();
  allowed = (right) => !/secrets|nodes|\*/.test(right);
  kube.answer = answerAsWorker;
});

afterEach(() => kube[Symbol.asyncDispose]());

/** As a server does for an account with the shipped Role. */
async function answerAsWorker(request: IncomingMessage, response: ServerResponse): Promise<boolean> {
  const path = request.url ?? '';
  const forbid = (what: string) =>
    sendStatus(response, 403, 'Forbidden', `${what} is forbidden: User "${WORKER}" cannot`);
  if (path === `/api/v1/namespaces/${FAKE_NAMESPACE}`) return forbid('namespaces');
  if (path.includes('networkpolicies')) return forbid('networkpolicies');
  if (!path.endsWith('selfsubjectaccessreviews')) return false;
  const body = (await Array.fromAsync(request as AsyncIterable<Buffer>)).join('');
  const { verb, resource, subresource } = JSON.parse(body).spec.resourceAttributes;
  const right = `${verb} ${resource}${subresource ? `/${subresource}` : ''}`;
  response.writeHead(201, { 'content-type': 'application/json' });
  response.end(JSON.stringify({ status: { allowed: allowed(right) } }));
  return true;
}

function start(changes: Readonly<Record<string, string>> = {}): RunningCommand {
  const environment = { SLIPWAY_PORT: '0', KUBECONFIG: kube.kubeconfig, ...IMAGES, ...changes };
  return startCommand(['doctor', '--kubernetes', '--json'], { environment });
}

async function ended(command: RunningCommand) {
  const { exitCode, stdout } = await command.ended;
  const { findings } = JSON.parse(stdout) as { findings: Finding[] };
  for (const { level, remedy } of findings) expect(remedy === null).toBe(level === 'ok');
  const all = (name: string) => findings.filter((finding) => finding.name === name);
  return { exitCode, all, find: (name: string) => all(name)[0] };
}

const madePod = () => waitFor(() => kube.pods[0], { what: 'a pod' });

const running = (name: string) => ({ name, state: { running: {} }, ready: true });

function runPod({ metadata }: FakePod): void {
  kube.put(metadata.name, { phase: 'Running', containerStatuses: [running('git'), running('agent')] });
}

/** What the containers answer to what they are asked. */
function answerExecs(seen: object): void {
  kube.exec = (socket: WebSocket, request) => {
    const { searchParams } = new URL(request.url ?? '', 'http://fake');
    const command = searchParams.getAll('command');
    if (searchParams.get('container') === 'git') sayExec(socket, 1, 'git version 2.39.5\n');
    else sayExec(socket, 1, command[1] === '--version' ? 'v24.11.1\n' : JSON.stringify(seen));
    endExec(socket, 0);
  };
}

describe('without a usable cluster', () => {
  test('one that cannot be reached is named, and what else is missing is told as well', async () => {
    kube.answer = (request) => {
      request.socket.destroy();
      return true;
    };
    const { exitCode, find, all } = await ended(start({ SLIPWAY_KUBERNETES_IMAGE: '' }));
    expect(exitCode).toBe(1);
    expect(find('cluster')).toMatchObject({
      level: 'fail',
      message: expect.stringMatching(
        `http://127.0.0.1:${kube.port}/, context fake, namespace builds: .* cannot be reached`,
      ),
      remedy: expect.stringContaining('KUBECONFIG'),
    });
    expect(all('image')).toMatchObject([{ level: 'fail', message: 'SLIPWAY_KUBERNETES_IMAGE is not set' }]);
    expect(find('pod')).toBeUndefined();
  });

  test('a kubeconfig file that is not there is named', async () => {
    const { exitCode, find } = await ended(start({ KUBECONFIG: '/nowhere/kubeconfig' }));
    expect(exitCode).toBe(1);
    expect(find('cluster')).toMatchObject({ level: 'fail', message: expect.stringContaining('/nowhere/kubeconfig') });
  });

  test('credentials that are refused are told from a cluster that is away', async () => {
    kube.answer = (_request, response) => sendStatus(response, 401, 'Unauthorized', 'Unauthorized');
    const { find } = await ended(start());
    expect(find('cluster')).toMatchObject({ level: 'fail', remedy: expect.stringContaining('Log in again') });
  });
});

describe('what the account may do', () => {
  test('every right that is missing is named, with the line that gives it, and no pod is made', async () => {
    allowed = (right) => !['watch pods', 'create pods/exec', 'get pods/log', '* *'].includes(right);
    const { exitCode, all, find } = await ended(start());
    expect(exitCode).toBe(1);
    expect(all('permissions').map(({ message }) => message)).toEqual([
      'missing: watch on pods',
      'missing: create on pods/exec',
      'missing: get on pods/log',
    ]);
    expect(all('permissions')[1]?.remedy).toBe(
      'kubectl -n builds create role slipway-pods-exec --verb=create,get --resource=pods/exec && ' +
        'kubectl -n builds create rolebinding slipway-pods-exec --role=slipway-pods-exec --serviceaccount=slipway:slipway-worker',
    );
    expect(find('rights')).toMatchObject({ level: 'warn', message: expect.stringMatching(/Secrets.*nodes/) });
    expect(find('pod')?.level).toBe('warn');
    expect(kube.requests.filter((request) => request.startsWith('POST') && request.endsWith('/pods'))).toEqual([]);
  });

  test('a namespace that does not exist is told', async () => {
    kube.answer = (request, response) => {
      if (request.url !== '/api/v1/namespaces/builds') return answerAsWorker(request, response);
      return sendStatus(response, 404, 'NotFound', 'namespaces "builds" not found');
    };
    allowed = () => false;
    const { find } = await ended(start());
    expect(find('namespace')).toMatchObject({
      level: 'fail',
      remedy: expect.stringContaining('create namespace builds'),
    });
  });
});

describe('Sandboxes', () => {
  const asked = (use: string, changes = {}) => ended(start({ SLIPWAY_KUBERNETES_SANDBOX: use, ...changes }));

  beforeEach(() => {
    // No pod is made to try.
    allowed = (right) => !/secrets|nodes|\*|create pods$/.test(right);
  });

  function serveDefinition(): void {
    kube.answer = async (request, response) => {
      if (request.url !== '/apis/agents.x-k8s.io') return answerAsWorker(request, response);
      response.end(JSON.stringify({ versions: [{ version: 'v1alpha1' }] }));
      return true;
    };
  }

  test('without the definition `true` fails, and `auto` is told what it does', async () => {
    expect((await asked('true')).find('sandboxes')).toMatchObject({
      ...{ level: 'fail', remedy: expect.stringContaining('kubernetes-sigs/agent-sandbox') },
    });
    expect((await asked('auto')).find('sandboxes')).toMatchObject({
      ...{ level: 'ok', message: expect.stringContaining('pods are made without') },
    });
    expect((await asked('false')).find('sandboxes')).toBeUndefined();
  });

  test('with the definition the rights are looked at', async () => {
    serveDefinition();
    const message = 'agents.x-k8s.io/v1alpha1 (create, get, list, patch, delete)';
    expect((await asked('auto')).find('sandboxes')).toMatchObject({ level: 'ok', message });
    allowed = (right) => !/secrets|nodes|\*|create pods$|(patch|delete) sandboxes/.test(right);
    expect((await asked('true')).find('sandboxes')).toMatchObject({
      ...{ level: 'fail', message: 'missing: patch, delete on sandboxes.agents.x-k8s.io' },
      remedy: expect.stringContaining('components/agent-sandbox'),
    });
  });
});

describe('a pod is tried out', () => {
  test('where all is well, everything is ok, and the pod is removed', async () => {
    answerExecs({ ...ANSWERS, programs: ['/usr/bin/claude', '', '', ''] });
    const command = start();
    const pod = await madePod();
    expect(pod.metadata.labels).toMatchObject({ [LABELS.network]: 'none', [LABELS.instance]: 'slipway-doctor' });
    runPod(pod);
    const { exitCode, find } = await ended(command);
    expect(exitCode).toBe(0);
    expect(find('cluster')?.message).toMatch(/^Kubernetes v1.20.2 at http.* context fake, namespace builds$/);
    expect(find('permissions')).toMatchObject({
      level: 'ok',
      message: expect.stringContaining('pods/exec (create, get)'),
    });
    expect(find('rights')?.level).toBe('ok');
    expect(find('pod')?.message).toMatch(/^started in \d.*: registry.example.com\/agents:1$/);
    expect(find('pod tools')).toMatchObject({ level: 'ok', message: `Node v24.11.1, Slipway ${VERSION}` });
    expect(find('pod git')?.message).toBe('git version 2.39.5');
    expect(find('pod agents')?.message).toBe('claude; not codex, gemini, opencode');
    expect(find('pod storage')?.level).toBe('ok');
    expect(find('network')).toMatchObject({
      level: 'ok',
      message: expect.stringContaining('does not reach 10.0.0.1:443'),
    });
    expect(kube.pods).toEqual([]);
  });

  test('policies that are not enforced, other tools, a full node and an image without agents are warnings', async () => {
    const seen = { ...ANSWERS, version: '0.0.1', freeBytes: 1_000_000, reached: ['10.0.0.1:443'] };
    answerExecs({ ...seen, programs: ['', '', '', ''] });
    const command = start();
    runPod(await madePod());
    const { exitCode, find } = await ended(command);
    expect(exitCode).toBe(0);
    expect(find('network')).toMatchObject({
      level: 'warn',
      message: expect.stringContaining('keeps a pod without network from 10.0.0.1:443'),
    });
    expect(find('pod tools')).toMatchObject({
      level: 'warn',
      message: expect.stringContaining('Slipway 0.0.1, and this'),
    });
    expect(find('pod storage')).toMatchObject({ level: 'warn', message: expect.stringContaining('1.0 MB free') });
    expect(find('pod agents')).toMatchObject({ level: 'warn', message: 'no agent is in the image' });
  });

  test('an image that is not there fails in the words of Kubernetes, with the setting to correct', async () => {
    const command = start();
    const { metadata } = await madePod();
    const waiting = { reason: 'ErrImageNeverPull', message: 'Container image is not present' };
    kube.put(metadata.name, { containerStatuses: [running('git'), { name: 'agent', state: { waiting } }] });
    const { exitCode, find } = await ended(command);
    expect(exitCode).toBe(1);
    expect(find('image')).toMatchObject({
      level: 'fail',
      message: expect.stringMatching(/^SLIPWAY_KUBERNETES_IMAGE=registry.example.com\/agents:1: .*ErrImageNeverPull/),
      remedy: expect.stringContaining('imagePullSecrets'),
    });
    expect(kube.pods).toEqual([]);
  });

  test('a pod that is refused is told in the words of Kubernetes', async () => {
    kube.answer = (request, response) => {
      const isCreation = request.method === 'POST' && request.url?.endsWith('/pods');
      if (!isCreation) return answerAsWorker(request, response);
      return sendStatus(response, 403, 'Forbidden', 'pods "x" is forbidden: violates PodSecurity "restricted:latest"');
    };
    const { find } = await ended(start());
    expect(find('pod')).toMatchObject({ level: 'fail', message: expect.stringContaining('violates PodSecurity') });
  });

  test('an image whose libraries are too old for Node fails', async () => {
    kube.exec = (socket) => {
      sayExec(socket, 2, "node: /lib/libc.so.6: version `GLIBC_2.28' not found\n");
      endExec(socket, 1);
    };
    const command = start();
    runPod(await madePod());
    const { exitCode, find } = await ended(command);
    expect(exitCode).toBe(1);
    expect(find('pod tools')).toMatchObject({ level: 'fail', message: expect.stringContaining('GLIBC_2.28') });
  });

  test('Ctrl-C removes the pod, and what a doctor has left who was killed', async () => {
    const name = 'slipway-doctor-earlier';
    const labels = { [LABELS.managedBy]: 'slipway', [LABELS.instance]: 'slipway-doctor' };
    const url = `http://127.0.0.1:${kube.port}/api/v1/namespaces/${FAKE_NAMESPACE}/pods`;
    await fetch(url, { method: 'POST', body: JSON.stringify({ metadata: { name, labels } }) });
    kube.put(name, { phase: 'Failed', reason: 'DeadlineExceeded' });
    const command = start();
    await waitFor(() => kube.pods.length === 2, { what: 'a pod' });
    command.signal('SIGINT');
    const { exitCode, stderr } = await command.ended;
    expect({ exitCode, stderr }).toMatchObject({ exitCode: 2, stderr: expect.stringContaining('CANCELLED') });
    expect(kube.pods).toEqual([]);
  });

  test.each([false, true])('a second Ctrl-C says what may be left (the pod has failed: %s)', async (hasFailed) => {
    // As where a node does not answer: the pod stays.
    kube.answer = (request, response) => {
      if (request.method !== 'DELETE') return answerAsWorker(request, response);
      response.end('{}');
      return true;
    };
    const command = start();
    const { metadata } = await madePod();
    const state = { waiting: { reason: 'ErrImageNeverPull' } };
    if (hasFailed) {
      kube.put(metadata.name, { containerStatuses: [{ name: 'agent', state }] });
      await waitFor(() => kube.requests.some((request) => request.startsWith('DELETE')), { what: 'its removal' });
    }
    let isOver = false;
    const over = command.ended.finally(() => {
      isOver = true;
    });
    await waitFor(() => {
      command.signal('SIGINT');
      return isOver;
    });
    const { exitCode, stderr } = await over;
    const { error } = JSON.parse(stderr) as { error: object };
    const hints = [
      expect.stringContaining(`The pod ${metadata.name} may still be there`),
      `kubectl -n builds delete pod ${metadata.name}`,
    ];
    expect({ exitCode, error }).toMatchObject({ exitCode: 2, error: { code: 'CANCELLED', hints } });
  });
});

test('it is a part of every doctor where builds run in pods, and the programs of this machine are not looked at', async () => {
  allowed = () => false;
  const environment = { SLIPWAY_PORT: '0', KUBECONFIG: kube.kubeconfig, SLIPWAY_RUNTIME: 'kubernetes', ...IMAGES };
  const { find } = await ended(startCommand(['doctor', '--json'], { environment }));
  expect(find('permissions')?.level).toBe('fail');
  expect(find('sandbox')).toBeUndefined();
  expect(find('agent claude-code')).toBeUndefined();
});

describe('pods of other installations', () => {
  async function putPods(...instances: readonly string[]): Promise<void> {
    const url = `http://127.0.0.1:${kube.port}/api/v1/namespaces/${FAKE_NAMESPACE}/pods`;
    for (const [index, instance] of instances.entries()) {
      const labels = { [LABELS.managedBy]: 'slipway', [LABELS.instance]: instance };
      await fetch(url, { method: 'POST', body: JSON.stringify({ metadata: { name: `pod-${index}`, labels } }) });
    }
    allowed = () => false;
  }

  test('are told of, each installation with the label by which it is found', async () => {
    await using database = await openTestDatabase();
    const own = await readInstallation(database.db);
    await putPods(own, own, 'other', 'other', 'slipway-doctor');
    const { all } = await ended(start({ SLIPWAY_DATABASE_URL: database.url }));
    expect(all('namespace').filter(({ level }) => level === 'warn')).toMatchObject([
      {
        message: 'builds has 2 pods of other installations: other (2)',
        remedy: expect.stringContaining('kubectl -n builds delete pods -l slipway.dev/instance=…'),
      },
    ]);
  });

  test.each([
    [['one', 'one'], 0],
    [['one', 'another'], 1],
  ])('%j are told of where no database says which is ours: %i', async (instances, warnings) => {
    await putPods(...instances);
    const { all } = await ended(start());
    expect(all('namespace').filter(({ level }) => level === 'warn')).toHaveLength(warnings);
  });
});
