import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type KubeApi, openKubeApi } from '../../../src/runtimes/kubernetes/kube-api.ts';
import { KubeError } from '../../../src/runtimes/kubernetes/kube-error.ts';
import { execInPod } from '../../../src/runtimes/kubernetes/pod-exec.ts';
import { type FakeKubeApi, openFakeKubeApi, sendStatus } from '../../support/fake-kube-api.ts';

let fake: FakeKubeApi;
let api: KubeApi;

beforeEach(async () => {
  fake = await openFakeKubeApi();
  api = await openKubeApi({ kubeconfig: fake.kubeconfig });
});

afterEach(async () => {
  await api[Symbol.asyncDispose]();
  await fake[Symbol.asyncDispose]();
});

const POD = { metadata: { name: 'one' }, spec: { containers: [] } };

/** What a call rejects with, which has to be a KubeError. */
async function failureOf(call: Promise<unknown>): Promise<KubeError> {
  const error = await call.then(
    () => null,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(KubeError);
  return error as KubeError;
}

describe('pods', () => {
  test('are created, read, patched, listed and deleted', async () => {
    const created = await api.createPod({ ...POD, metadata: { name: 'one', labels: { a: 'b' } } });
    expect(await api.getPod('one')).toEqual(created);
    expect(await api.getPod('two')).toBeNull();
    const patched = await api.patchPod('one', { metadata: { annotations: { c: 'd' } } });
    expect(patched.metadata?.annotations).toEqual({ c: 'd' });
    const stale = { resourceVersion: created.metadata?.resourceVersion ?? '' };
    expect(await failureOf(api.patchPod('one', {}, stale))).toMatchObject({ status: 409, reason: 'Conflict' });
    const list = await api.listPods({ labelSelector: 'a=b' });
    expect(list.items.map((pod) => pod.metadata?.name)).toEqual(['one']);
    expect(fake.requests.at(-1)).toContain('labelSelector=a%3Db');
    await api.deletePod('one', { uid: created.metadata?.uid ?? '', gracePeriodSeconds: 0 });
    expect(await api.getPod('one')).toBeNull();
  });

  test('a pod that is gone, or has been replaced by another one, is deleted as far as its owner cares', async () => {
    await api.deletePod('one', { uid: 'whose', gracePeriodSeconds: 0 });
    fake.put('one');
    await api.deletePod('one', { uid: 'whose', gracePeriodSeconds: 0 });
    expect(await api.getPod('one')).not.toBeNull();
  });

  test('a list is read page by page, each from where the one before has ended', async () => {
    fake.answer = (request, response) => {
      const url = new URL(request.url ?? '', 'http://fake');
      const page = Number(url.searchParams.get('continue') ?? 0);
      const metadata = { resourceVersion: '7', ...(page < 2 ? { continue: String(page + 1) } : {}) };
      response.end(JSON.stringify({ metadata, items: [{ metadata: { name: `p${page}` } }] }));
      return true;
    };
    const list = await api.listPods({ labelSelector: '' });
    expect(list.resourceVersion).toBe('7');
    expect(list.items.map((pod) => pod.metadata?.name)).toEqual(['p0', 'p1', 'p2']);
  });

  test('access is asked for in the namespace, version without one', async () => {
    expect(await api.reviewAccess({ verb: 'create', resource: 'pods', subresource: 'exec' })).toMatchObject({
      allowed: true,
    });
    expect(await api.version()).toMatchObject({ gitVersion: 'v1.20.2' });
  });
});

describe('hostile names are refused before a request is made', () => {
  const hostile = ['../../secrets', '..', '%2e%2e%2fsecrets', 'UPPER', 'a/b', 'a?b', '-a', 'a..b', '', 'a'.repeat(254)];
  test.each(hostile)('%j', async (name) => {
    const exec = { argv: ['true'] as [string], deadlineMs: 1000, maxOutputBytes: 10 };
    const calls = [
      api.getPod(name),
      api.createPod({ metadata: { name } }),
      api.patchPod(name, {}),
      api.deletePod(name, { uid: 'u', gracePeriodSeconds: 0 }),
      api.request({ method: 'GET', segments: ['api', 'v1', `../${name}`] }),
      openKubeApi({ kubeconfig: fake.kubeconfig, namespace: name || '.' }),
      execInPod(api, { pod: name, container: 'agent', ...exec }),
      execInPod(api, { pod: 'one', container: name, ...exec }),
    ];
    for (const call of calls) expect((await failureOf(call)).reason).toBe('InvalidName');
    expect(fake.requests).toEqual([]);
  });
});

describe('faults', () => {
  test("Kubernetes' own words are kept, and cut", async () => {
    fake.answer = (_request, response) => sendStatus(response, 403, 'Forbidden', `quota: ${'x'.repeat(10_000)}`);
    const error = await failureOf(api.createPod(POD));
    expect(error).toMatchObject({ status: 403, reason: 'Forbidden', retryable: false });
    expect(error.message).toMatch(/^quota: x+…$/);
    expect(error.message).toHaveLength(2000);
    expect(fake.requests).toHaveLength(1);
  });

  test('a read is tried again when the server is in trouble, three times at most', async () => {
    fake.put('one');
    let bad = 2;
    fake.answer = (_request, response) => bad-- > 0 && sendStatus(response, 503, 'ServiceUnavailable', 'etcd');
    expect((await api.getPod('one'))?.metadata?.name).toBe('one');
    bad = 100;
    expect(await failureOf(api.getPod('one'))).toMatchObject({ status: 503, retryable: true, message: 'etcd' });
    expect(fake.requests).toHaveLength(6);
  });

  test('the server says when to come back', async () => {
    fake.answer = (_request, response) => {
      response.setHeader('retry-after', '50');
      return sendStatus(response, 429, 'TooManyRequests', 'slow down');
    };
    expect(await failureOf(api.getPod('one'))).toMatchObject({ retryAfterMs: 50_000, retryable: true });
    // Later than the deadline of the call.
    expect(fake.requests).toHaveLength(1);
  });

  test('a creation whose answer was lost is tried again, and finds its own pod', async () => {
    let lost = 0;
    fake.answer = (request) => {
      if (request.method !== 'POST' || lost++ > 0) return false;
      fake.put('one');
      request.socket.resetAndDestroy();
      return true;
    };
    expect(await failureOf(api.createPod(POD))).toMatchObject({ status: 409, reason: 'AlreadyExists' });
    expect(lost).toBe(2);
  });

  test('a patch whose answer was lost is not sent twice', async () => {
    fake.answer = (request) => {
      request.socket.resetAndDestroy();
      return true;
    };
    expect(await failureOf(api.patchPod('one', {}))).toMatchObject({ reason: 'Unreachable', retryable: true });
    expect(fake.requests).toHaveLength(1);
  });

  test.each([
    ['headers', () => true],
    [
      'the rest of the body',
      (_request: unknown, response: { write: (text: string) => void }) => {
        response.write('{"kind":');
        return true;
      },
    ],
  ])('a server that never sends %s is given up', async (_what, answer) => {
    fake.answer = answer as FakeKubeApi['answer'];
    const call = api.request({ method: 'GET', segments: ['version'], deadlineMs: 200 });
    expect(await failureOf(call)).toMatchObject({ reason: 'Timeout', retryable: true, status: null });
  });

  test('a call ends when its caller gives up', async () => {
    const controller = new AbortController();
    fake.answer = () => {
      controller.abort();
      return true;
    };
    expect(await failureOf(api.getPod('one', { signal: controller.signal }))).toMatchObject({ reason: 'Aborted' });
    expect(await failureOf(api.getPod('one', { signal: controller.signal }))).toMatchObject({ reason: 'Aborted' });
  });

  test('an answer that has no end, or is not JSON, is nobody’s problem', async () => {
    fake.answer = async (_request, response) => {
      const chunk = Buffer.alloc(1024 * 1024, 0x20);
      while (!response.destroyed) await new Promise((resolve) => response.write(chunk, resolve));
      return true;
    };
    expect(await failureOf(api.getPod('one'))).toMatchObject({ reason: 'Unusable', retryable: false });
    fake.answer = (_request, response) => {
      response.end('<html>');
      return true;
    };
    expect(await failureOf(api.getPod('one'))).toMatchObject({ reason: 'Unusable', message: /not JSON/ });
  });

  test('an error page keeps its status, however long it is', async () => {
    fake.answer = async (_request, response) => {
      response.writeHead(404);
      response.write('<html>no such page');
      while (!response.destroyed) await new Promise((resolve) => response.write(Buffer.alloc(64 * 1024, 'x'), resolve));
      return true;
    };
    expect(await api.getPod('one')).toBeNull();
    const error = await failureOf(api.version());
    expect(error).toMatchObject({ status: 404, reason: 'HTTP 404', retryable: false });
    expect(error.message).toMatch(/answered HTTP 404: <html>no such pagex+…$/);
  });

  test('a server that is not there is named', async () => {
    await fake[Symbol.asyncDispose]();
    const error = await failureOf(api.getPod('one'));
    expect(error).toMatchObject({ reason: 'Unreachable', retryable: true });
    expect(error.message).toContain(`127.0.0.1:${fake.port}`);
  });
});

describe('credentials', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'slipway-kubeconfig-'));
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  async function writeConfig(user: object, context: object = {}): Promise<string> {
    const path = join(folder, 'config');
    const cluster = { server: `http://127.0.0.1:${fake.port}/prefix`, 'insecure-skip-tls-verify': true };
    const contexts = [{ name: 'here', context: { cluster: 'c', user: 'u', ...context } }];
    const clusters = [{ name: 'c', cluster }];
    await writeFile(
      path,
      JSON.stringify({ clusters, contexts, users: [{ name: 'u', user }], 'current-context': 'here' }),
    );
    return path;
  }

  test('a plugin is asked again when what it gave has expired, and a path before the API is kept', async () => {
    const counter = join(folder, 'count');
    const script = `echo x >> ${counter}; printf '{"status":{"token":"t%s","expirationTimestamp":"2020-01-01T00:00:00Z"}}' $(wc -l < ${counter})`;
    const path = await writeConfig({ exec: { command: 'sh', args: ['-c', script] } });
    const seen: unknown[] = [];
    fake.answer = (request, response) => {
      seen.push([request.headers.authorization, request.url]);
      response.end('{}');
      return true;
    };
    await using own = await openKubeApi({ kubeconfig: path });
    expect(own.namespace).toBe('default');
    await own.version();
    await own.version();
    expect(seen).toEqual([
      ['Bearer t1', '/prefix/version'],
      ['Bearer t2', '/prefix/version'],
    ]);
  });

  test('several files are one, as KUBECONFIG has them, and the first says which context is used', async () => {
    const kubeconfig = [await writeConfig({ token: 't' }), fake.kubeconfig].join(delimiter);
    expect(await openKubeApi({ kubeconfig })).toMatchObject({ context: 'here', namespace: 'default' });
    expect((await openKubeApi({ kubeconfig, context: 'fake' })).namespace).toBe('builds');
  });

  test('a context names its namespace, the caller another one', async () => {
    const path = await writeConfig({ token: 't' }, { namespace: 'theirs' });
    expect((await openKubeApi({ kubeconfig: path })).namespace).toBe('theirs');
    expect((await openKubeApi({ kubeconfig: path, namespace: 'ours' })).namespace).toBe('ours');
  });

  test.each([
    ['a file that is not there', { kubeconfig: '/nowhere/config' }],
    ['a context that the file has not', { context: 'elsewhere' }],
  ])('%s is said, with what to do', async (_what, input) => {
    const kubeconfig = await writeConfig({ token: 't' });
    const error = await failureOf(openKubeApi({ kubeconfig, ...input }));
    expect(error).toMatchObject({ reason: 'NotConfigured', retryable: false });
    expect(error.message).toContain('Set KUBECONFIG');
  });

  test('a plugin that fails is said in its own words', async () => {
    const path = await writeConfig({ exec: { command: 'sh', args: ['-c', 'echo no login >&2; exit 1'] } });
    await using own = await openKubeApi({ kubeconfig: path });
    expect((await failureOf(own.version())).message).toContain('no login');
  });
});
