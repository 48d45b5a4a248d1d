/** Credentials that change while a process lives for months, and ways to the server that kubeconfig files know. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { KubeConfig } from '@kubernetes/client-node';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { openKubeApi } from '../../../src/runtimes/kubernetes/kube-api.ts';
import { execInPod } from '../../../src/runtimes/kubernetes/pod-exec.ts';
import { type FakeKubeApi, openFakeKubeApi, sendStatus } from '../../support/fake-kube-api.ts';

let fake: FakeKubeApi;
let folder: string;
/** What the server lets in, and what it was shown, in order. */
let valid: string;
let shown: string[];

beforeEach(async () => {
  vi.useFakeTimers({ toFake: ['performance', 'Date'] });
  fake = await openFakeKubeApi();
  folder = await mkdtemp(join(tmpdir(), 'slipway-credentials-'));
  shown = [];
  fake.answer = (request, response) => {
    const { authorization = '' } = request.headers;
    shown.push(authorization.replace('Bearer ', ''));
    return authorization !== `Bearer ${valid}` && sendStatus(response, 401, 'Unauthorized', 'who are you?');
  };
});
afterEach(async () => {
  vi.useRealTimers();
  await fake[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

async function writeConfig(user: object, cluster: object = {}): Promise<string> {
  const path = join(folder, 'config');
  const server = `http://127.0.0.1:${fake.port}`;
  const config = {
    clusters: [{ name: 'c', cluster: { server, 'insecure-skip-tls-verify': true, ...cluster } }],
    contexts: [{ name: 'here', context: { cluster: 'c', user: 'u', namespace: 'builds' } }],
    users: [{ name: 'u', user }],
    'current-context': 'here',
  };
  await writeFile(path, JSON.stringify(config));
  return path;
}

/** Refused credentials are read again every ten seconds at most. */
const pass = (seconds: number) => vi.advanceTimersByTime(seconds * 1000);
const EXEC = { pod: 'one', container: 'agent', argv: ['true'] as [string], deadlineMs: 10_000, maxOutputBytes: 10 };

test('a token that is refused is read again, once for all calls that were refused with it', async () => {
  valid = 'first';
  await using api = await openKubeApi({ kubeconfig: await writeConfig({ token: 'first' }) });
  await api.version();
  pass(60);
  valid = 'second';
  await writeConfig({ token: 'second' });
  const read = vi.spyOn(KubeConfig.prototype, 'loadFromFile');
  await Promise.all([api.version(), api.version(), api.version()]);
  expect(shown.filter((token) => token === 'second')).toHaveLength(3);
  expect(read).toHaveBeenCalledTimes(1);
  read.mockRestore();
  // One that is refused again is not read in a loop.
  valid = 'third';
  pass(1);
  const before = shown.length;
  await expect(api.version()).rejects.toMatchObject({ status: 401, message: 'who are you?' });
  expect(shown.slice(before)).toEqual(['second']);
  pass(60);
  await writeConfig({ token: 'third' });
  await api.version();
});

test('an exec that is refused has the token read again for the next one', async () => {
  valid = 'second';
  await using api = await openKubeApi({ kubeconfig: await writeConfig({ token: 'first' }) });
  pass(60);
  await writeConfig({ token: 'second' });
  fake.upgrade = (request, socket) => {
    shown.push(request.headers.authorization ?? '');
    socket.end('HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n');
  };
  await expect(execInPod(api, EXEC)).rejects.toMatchObject({ kind: 'refused', status: 401, retryable: true });
  await api.version();
  expect(shown).toEqual(['Bearer first', 'second']);
});

test('the token file of a service account is read again while the process lives, and at once when it is refused', async () => {
  const tokenFile = join(folder, 'token');
  const rotate = (token: string) => writeFile(tokenFile, token);
  await rotate('first');
  valid = 'first';
  // As @kubernetes/client-node describes the service account of a pod.
  const kubeconfig = await writeConfig({ 'auth-provider': { name: 'tokenFile', config: { tokenFile } } });
  await using api = await openKubeApi({ kubeconfig });
  await api.version();
  await rotate('second');
  // Kubernetes rotates long before a token ends.
  await api.version();
  pass(61);
  valid = 'second';
  await api.version();
  expect(shown).toEqual(['first', 'first', 'second']);
  await rotate('third');
  valid = 'third';
  pass(11);
  await api.version();
  expect(shown.slice(3)).toEqual(['second', 'third']);
});

test("calls and execs go through the kubeconfig's proxy", async () => {
  const asked: string[] = [];
  const sockets = new Set<Socket>();
  const proxy = createServer().on('connect', (request, socket: Socket) => {
    asked.push(request.url ?? '');
    const through = connect(fake.port, '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
      through.pipe(socket).pipe(through);
    });
    for (const end of [socket, through]) sockets.add(end.on('error', () => {}));
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  const { port } = proxy.address() as AddressInfo;
  try {
    valid = 'first';
    // Nobody has this name but the proxy.
    const cluster = { server: 'http://cluster.invalid', 'proxy-url': `http://127.0.0.1:${port}` };
    await using api = await openKubeApi({ kubeconfig: await writeConfig({ token: 'first' }, cluster) });
    expect(await api.version()).toMatchObject({ gitVersion: 'v1.20.2' });
    expect(await execInPod(api, EXEC)).toMatchObject({ exitCode: 0 });
    expect(new Set(asked)).toEqual(new Set(['cluster.invalid:80']));
  } finally {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => proxy.close(resolve));
  }
});

test('a proxy that is no URL is said, with what to do', async () => {
  const kubeconfig = await writeConfig({ token: 'first' }, { 'proxy-url': 'nonsense' });
  await using api = await openKubeApi({ kubeconfig });
  const refused = { reason: 'NotConfigured', message: expect.stringMatching(/cannot be used: .*Set KUBECONFIG/) };
  await expect(api.version()).rejects.toMatchObject(refused);
});
