/** The transport against a real API server and a real kubelet. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ExecError } from '../../src/runtimes/kubernetes/exec-error.ts';
import { type KubeApi, openKubeApi } from '../../src/runtimes/kubernetes/kube-api.ts';
import { execInPod, type PodCommand, streamFromPod } from '../../src/runtimes/kubernetes/pod-exec.ts';
import { openPodWatch, type PodWatch } from '../../src/runtimes/kubernetes/pod-watch.ts';
import { AGENT_IMAGE, CLUSTER_PROBLEM, openTestNamespace, type TestNamespace } from '../support/cluster.ts';
import { openTcpProxy } from '../support/tcp-proxy.ts';
import { waitFor } from '../support/wait-for.ts';

const MIB = 1024 ** 2;
const DEADLINE = { deadlineMs: 60_000 };

function podNamed(name: string, command: string[] = ['sleep', '2147483']) {
  const container = { name: 'agent', image: AGENT_IMAGE, imagePullPolicy: 'Never', command };
  return {
    metadata: { name, labels: { 'slipway.dev/instance': 'transport' } },
    spec: { containers: [container], restartPolicy: 'Never', terminationGracePeriodSeconds: 1 },
  };
}

describe.skipIf(CLUSTER_PROBLEM !== '')('on a real cluster', () => {
  let cluster: TestNamespace;
  let api: KubeApi;
  let watch: PodWatch;

  beforeAll(async () => {
    cluster = await openTestNamespace('transport');
    api = await openKubeApi({ kubeconfig: cluster.kubeconfig, namespace: cluster.namespace });
    watch = openPodWatch({ api, labelSelector: 'slipway.dev/instance=transport', onError: console.log });
    watch.tell(await api.createPod(podNamed('one')));
    await watch.waitFor('one', (pod) => pod?.containers[0]?.state === 'running', DEADLINE);
  });

  afterAll(async () => {
    await watch?.[Symbol.asyncDispose]();
    await api?.[Symbol.asyncDispose]();
    await cluster?.[Symbol.asyncDispose]();
  });

  const command = (script: string): PodCommand => ({
    ...{ pod: 'one', container: 'agent', argv: ['bash', '-c', script], deadlineMs: 30_000 },
  });
  const exec = (script: string, options: Partial<PodCommand> = {}) =>
    execInPod(api, { ...command(script), maxOutputBytes: 4 * MIB, ...options });

  async function failureOf(call: Promise<unknown>): Promise<ExecError> {
    const error = await call.then(
      () => null,
      (reason: unknown) => reason,
    );
    expect(error).toBeInstanceOf(ExecError);
    return error as ExecError;
  }

  test('a command is given 1 MiB, and gives it back', async () => {
    const stdin = Buffer.alloc(MIB, 'input that is not all the same 0123456789 ');
    const result = await exec(`head -c ${stdin.length}; echo done >&2`, { stdin });
    expect(result).toMatchObject({ exitCode: 0, stderr: 'done\n', truncated: false });
    expect(result.stdout.equals(stdin)).toBe(true);
  });

  test.each([0, 3, 137])('exit code %i', async (code) => {
    expect(await exec(`exit ${code}`)).toMatchObject({ exitCode: code });
  });

  test('a command that kills itself, and one that is not there', async () => {
    expect(await exec('kill -9 $$')).toMatchObject({ exitCode: 137 });
    const error = await failureOf(exec('', { argv: ['no-such-program'] }));
    expect(error).toMatchObject({ kind: 'refused', retryable: false });
    expect(error.message).toContain('no-such-program');
  });

  test('arguments arrive as they are', async () => {
    const odd = 'a b&c=d%2e+"\'\n$HOME/../ü;#?';
    const { stdout } = await exec('', { argv: ['printf', '%s', odd] });
    expect(stdout.toString()).toBe(odd);
  });

  test('300 MB for a slow reader: the memory of this process does not grow with them', async () => {
    await readSlowly(150_000_000);
    const { grown, seconds } = await readSlowly(300_000_000);
    console.log(`300 MB from a pod: ${grown.toFixed(1)} MiB more memory, ${seconds.toFixed(1)} s`);
    expect(grown).toBeLessThan(50);
  });

  async function readSlowly(bytes: number): Promise<{ grown: number; seconds: number }> {
    const startedAt = performance.now();
    const before = process.memoryUsage().rss;
    let peak = before;
    let read = 0;
    const stream = streamFromPod(api, { ...command(`head -c ${bytes} /dev/zero`), deadlineMs: 120_000 });
    for await (const chunk of stream) {
      // Slower than the network: as long as a turn of the event loop for every few KiB.
      if (read === 0) await exec('sleep 1');
      await new Promise((resolve) => setImmediate(resolve));
      read += chunk.length;
      peak = Math.max(peak, process.memoryUsage().rss);
    }
    expect(read).toBe(bytes);
    expect((await stream.exit).exitCode).toBe(0);
    return { grown: (peak - before) / MIB, seconds: (performance.now() - startedAt) / 1000 };
  }

  test('the server answers pings: a command that says nothing is not taken for a lost connection', async () => {
    expect(await exec('sleep 1.5; echo late', { pingMs: 100, silenceMs: 400 })).toMatchObject({ exitCode: 0 });
    const stdin = Buffer.alloc(MIB);
    const script = `sleep 1.5; head -c ${MIB} | wc -c`;
    expect(await exec(script, { stdin, pingMs: 100, silenceMs: 400 })).toMatchObject({ exitCode: 0 });
  });

  test('a deadline and a caller who gives up end it at once', async () => {
    expect(await failureOf(exec('sleep 60', { deadlineMs: 1000 }))).toMatchObject({ kind: 'timeout', started: true });
    const controller = new AbortController();
    const stream = streamFromPod(api, { ...command('echo x; sleep 60'), signal: controller.signal });
    const reading = (async () => {
      for await (const _chunk of stream) controller.abort();
    })();
    expect(await failureOf(reading)).toMatchObject({ kind: 'aborted' });
  });

  test('what cannot be run says why', async () => {
    expect(await failureOf(exec('', { pod: 'nobody' }))).toMatchObject({ kind: 'gone', status: 404 });
    const noContainer = await failureOf(exec('', { container: 'nobody' }));
    expect(noContainer).toMatchObject({ kind: 'refused', status: 400, retryable: false });
    const pending = { ...podNamed('pending'), spec: { ...podNamed('pending').spec, nodeName: 'nowhere' } };
    await api.createPod(pending);
    const notYet = await failureOf(exec('', { pod: 'pending' }));
    expect(notYet).toMatchObject({ kind: 'refused', retryable: true });
    console.log(`not yet running: ${notYet.status} ${notYet.message}`);
    await api.createPod(podNamed('done', ['true']));
    await watch.waitFor('done', (pod) => pod?.phase === 'Succeeded', DEADLINE);
    const done = await failureOf(exec('', { pod: 'done' }));
    expect(done.kind).toBe('refused');
    console.log(`ended: ${done.status} ${done.message}`);
  });

  test('a pod is deleted by its uid, its execs end with it, and the watch sees it go', async () => {
    const pod = await api.createPod(podNamed('two'));
    const uid = pod.metadata?.uid ?? '';
    watch.tell(pod);
    await watch.waitFor('two', (view) => view?.containers[0]?.state === 'running', DEADLINE);
    await api.deletePod('two', { uid: '00000000-0000-0000-0000-000000000000', gracePeriodSeconds: 1 });
    expect((await api.getPod('two'))?.metadata?.deletionTimestamp).toBeUndefined();
    const running = exec('echo $$; sleep 60', { pod: 'two' }).then(
      (result) => `exit code ${result.exitCode}`,
      (error: ExecError) => error.kind,
    );
    await api.deletePod('two', { uid, gracePeriodSeconds: 1 });
    await watch.waitFor('two', (view) => view?.uid !== uid, DEADLINE);
    console.log(`an exec in a pod that is deleted: ${await running}`);
    expect(await failureOf(exec('true', { pod: 'two' }))).toMatchObject({ kind: 'gone' });
    await api.deletePod('two', { uid, gracePeriodSeconds: 1 });
  });

  test('a connection that is cut at random ends the exec, never the process; watch and calls recover', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'slipway-transport-'));
    const text = await readFile(cluster.kubeconfig, 'utf8');
    const target = Number(/https:\/\/127\.0\.0\.1:(\d+)/.exec(text)?.[1]);
    await using proxy = await openTcpProxy(target);
    const kubeconfig = join(folder, 'config');
    await writeFile(kubeconfig, text.replace(`127.0.0.1:${target}`, `127.0.0.1:${proxy.port}`));
    await using own = await openKubeApi({ kubeconfig, namespace: cluster.namespace });
    const labelSelector = 'slipway.dev/instance=transport';
    await using cutWatch = openPodWatch({ api: own, labelSelector, onError: () => {}, maxPauseMs: 500 });
    await cutWatch.waitFor('one', (pod) => pod !== undefined, DEADLINE);
    const ends = new Map<string, number>();
    for (let round = 0; round < 20; round += 1) {
      const cut = delay(Math.random() * 600).then(() => proxy.cut());
      const stdin = Buffer.alloc(64 * 1024);
      const argv: PodCommand['argv'] = ['bash', '-c', 'head -c 65536; sleep 0.2'];
      const input = { pod: 'one', container: 'agent', argv, stdin, deadlineMs: 10_000, maxOutputBytes: MIB };
      const end = await execInPod(own, input).then(
        (result) => `exit code ${result.exitCode}`,
        (error: ExecError) => error.kind,
      );
      ends.set(end, (ends.get(end) ?? 0) + 1);
      await cut;
    }
    console.log('cut at random:', Object.fromEntries(ends));
    expect([...ends.keys()].every((end) => end === 'cut' || end === 'exit code 0')).toBe(true);
    expect(ends.get('cut')).toBeGreaterThan(0);
    cutWatch.refresh();
    await own.patchPod('one', { metadata: { annotations: { 'slipway.dev/spec-hash': 'seen' } } });
    await cutWatch.waitFor('one', (pod) => pod?.annotations['slipway.dev/spec-hash'] === 'seen', DEADLINE);
    await rm(folder, { recursive: true });
  });

  test('access, version, and a change of the same version only', async () => {
    expect(await api.version()).toMatchObject({ gitVersion: expect.stringMatching(/^v1\./) });
    expect(await api.reviewAccess({ verb: 'list', resource: 'nodes', namespace: null })).toMatchObject({
      allowed: true,
    });
    const pod = await api.getPod('one');
    const resourceVersion = pod?.metadata?.resourceVersion ?? '';
    await api.patchPod('one', { metadata: { labels: { round: '1' } } }, { resourceVersion });
    const again = api.patchPod('one', { metadata: { labels: { round: '2' } } }, { resourceVersion });
    await expect(again).rejects.toMatchObject({ status: 409, reason: 'Conflict', retryable: false });
    await waitFor(() => watch.get('one')?.labels.round === '1');
    await expect(api.createPod(podNamed('one'))).rejects.toMatchObject({ reason: 'AlreadyExists' });
    await expect(api.createPod({ metadata: { name: 'bad' } })).rejects.toMatchObject({
      status: 422,
      reason: 'Invalid',
    });
  });
});
