/** F32: whatever happens to the stream of a watch, no transition of a pod is missed. */
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type KubeApi, openKubeApi } from '../../../src/runtimes/kubernetes/kube-api.ts';
import { PodTable } from '../../../src/runtimes/kubernetes/pod-table.ts';
import { viewOfPod } from '../../../src/runtimes/kubernetes/pod-view.ts';
import { openPodWatch, type PodWatch, type PodWatchOptions } from '../../../src/runtimes/kubernetes/pod-watch.ts';
import { type FakeKubeApi, openFakeKubeApi, sendStatus } from '../../support/fake-kube-api.ts';
import { waitFor } from '../../support/wait-for.ts';

let fake: FakeKubeApi;
let api: KubeApi;
let errors: unknown[];

beforeEach(async () => {
  fake = await openFakeKubeApi();
  api = await openKubeApi({ kubeconfig: fake.kubeconfig });
  errors = [];
});

afterEach(async () => {
  await api[Symbol.asyncDispose]();
  await fake[Symbol.asyncDispose]();
});

const DEADLINE = { deadlineMs: 10_000 };
const RUNNING = { phase: 'Running' };

/** Lists once a minute unless told otherwise: what is seen sooner came by the watch, or by what it asked for. */
function watchPods(options: Partial<PodWatchOptions> = {}): PodWatch {
  return openPodWatch({
    ...{ api, labelSelector: '', listEveryMs: 60_000, maxPauseMs: 50 },
    onError: (error) => errors.push(error),
    ...options,
  });
}

const lists = () => fake.requests.filter((request) => !request.includes('watch=')).length;
const opened = () => fake.requests.filter((request) => request.includes('watch=')).length;
const isWatched = () => waitFor(() => fake.watches === 1, { what: 'a watch' });

describe('a watch that works', () => {
  test('knows what is there, and tells every change in its order', async () => {
    fake.put('one');
    await using watch = watchPods();
    expect(watch.isCurrent).toBe(false);
    await watch.waitFor('one', (pod) => pod?.phase === 'Pending', DEADLINE);
    expect(watch.isCurrent).toBe(true);
    await isWatched();
    const seen: (string | undefined)[] = [];
    const stop = watch.onChange('one', (pod) => seen.push(pod?.phase));
    fake.put('one', RUNNING);
    fake.put('one', { phase: 'Succeeded' });
    fake.remove('one');
    fake.put('one', { phase: 'Pending' });
    await waitFor(() => seen.length === 4);
    expect(seen).toEqual(['Running', 'Succeeded', undefined, 'Pending']);
    stop();
    fake.put('one', RUNNING);
    await watch.waitFor('one', (pod) => pod?.phase === 'Running', DEADLINE);
    expect(seen).toHaveLength(4);
    expect(lists()).toBe(1);
    expect(errors).toEqual([]);
  });

  test('what a call of ours has answered is known before anybody tells it', async () => {
    await using watch = watchPods();
    await waitFor(() => watch.isCurrent);
    fake.answer = () => true;
    watch.tell(fake.put('one', {}, { quietly: true }));
    expect(watch.get('one')?.phase).toBe('Pending');
  });

  test('a listener that throws is reported, and the others are told', async () => {
    await using watch = watchPods();
    await isWatched();
    watch.onChange('one', () => {
      throw new Error('mine');
    });
    fake.put('one');
    await watch.waitFor('one', (pod) => pod !== undefined, DEADLINE);
    expect(errors).toEqual([new Error('mine')]);
  });

  test('who waits is told when it is late, given up, or over', async () => {
    const watch = watchPods();
    const never = () => false;
    await expect(watch.waitFor('one', never, { deadlineMs: 50 })).rejects.toMatchObject({ reason: 'Timeout' });
    const signal = AbortSignal.abort();
    await expect(watch.waitFor('one', never, { ...DEADLINE, signal })).rejects.toMatchObject({ reason: 'Aborted' });
    const waiting = watch.waitFor('one', never, DEADLINE);
    const failing = watch.waitFor('one', () => missing(), DEADLINE);
    await expect(failing).rejects.toThrow('defect');
    await watch[Symbol.asyncDispose]();
    await expect(waiting).rejects.toMatchObject({ reason: 'Aborted' });
    await watch[Symbol.asyncDispose]();
    expect(errors).toEqual([]);
  });
});

function missing(): never {
  throw new Error('defect');
}

describe('a watch that fails', () => {
  const gone = { kind: 'Status', code: 410, reason: 'Expired', message: 'too old resource version' };

  test.each<[string, () => void]>([
    ['an ERROR event', () => fake.say({ type: 'ERROR', object: gone })],
    ['an ERROR event that says nothing', () => fake.say({ type: 'ERROR' })],
    ['something that is no event', () => fake.say({ type: 'SURPRISE', object: {} })],
    ['a line that is no JSON', () => fake.say('{"type": "ADDED", \n')],
    [
      'a cut in the middle of a line',
      () => {
        fake.say('{"type": "MODIFIED", "object": {"meta');
        fake.endWatches('reset');
      },
    ],
  ])('%s: the list tells what was missed', async (_what, fail) => {
    fake.put('one');
    await using watch = watchPods();
    await isWatched();
    const seen: (string | undefined)[] = [];
    watch.onChange('one', (pod) => seen.push(pod?.phase));
    fake.put('one', RUNNING, { quietly: true });
    fail();
    await watch.waitFor('one', (pod) => pod?.phase === 'Running', DEADLINE);
    await waitFor(() => opened() === 2);
    expect(errors).toHaveLength(1);
    expect(lists()).toBe(2);
    fake.remove('one');
    await watch.waitFor('one', (pod) => pod === undefined, DEADLINE);
    expect(seen).toEqual(['Running', undefined]);
  });

  test('a version that is too old when the watch is opened', async () => {
    let stale = 2;
    fake.answer = (request, response) =>
      request.url?.includes('watch=') === true &&
      stale-- > 0 &&
      sendStatus(response, 410, 'Expired', 'too old resource version');
    await using watch = watchPods();
    await isWatched();
    fake.put('one');
    await watch.waitFor('one', (pod) => pod !== undefined, DEADLINE);
    expect(errors).toMatchObject([{ status: 410 }, { status: 410 }]);
    expect(lists()).toBe(3);
  });

  test('an end that the server announced needs no list, and goes on from the last version', async () => {
    await using watch = watchPods();
    await isWatched();
    fake.put('one');
    await watch.waitFor('one', (pod) => pod !== undefined, DEADLINE);
    fake.say({ type: 'BOOKMARK', object: { metadata: { resourceVersion: '4711' } } });
    fake.endWatches('end');
    await waitFor(() => opened() === 2);
    expect(fake.requests.at(-1)).toContain('resourceVersion=4711');
    expect(lists()).toBe(1);
    expect(errors).toEqual([]);
  });

  test('a server that ends every watch at once is not asked without a pause', async () => {
    fake.answer = (request, response) => {
      if (!request.url?.includes('watch=')) return false;
      response.end();
      return true;
    };
    await using watch = watchPods({ maxPauseMs: 15_000 });
    await waitFor(() => watch.isCurrent);
    await waitFor(() => opened() === 2);
    const at = performance.now();
    await waitFor(() => opened() === 3);
    // The second pause: 250 ms * 2^2, half of it at least.
    expect(performance.now() - at).toBeGreaterThan(400);
  });

  test('a stream that says nothing: the periodic list tells all, and the stream is opened anew', async () => {
    fake.put('one');
    await using watch = watchPods({ listEveryMs: 50 });
    await isWatched();
    const seen: (string | undefined)[] = [];
    watch.onChange('one', (pod) => seen.push(pod?.phase));
    fake.put('one', RUNNING, { quietly: true });
    await watch.waitFor('one', (pod) => pod?.phase === 'Running', DEADLINE);
    await waitFor(() => opened() === 2, { what: 'a second stream' });
    fake.remove('one', { quietly: true });
    await watch.waitFor('one', (pod) => pod === undefined, DEADLINE);
    expect(seen).toEqual(['Running', undefined]);
  });

  test('a stream that says nothing at all is given up after a while', async () => {
    await using watch = watchPods({ silenceMs: 50 });
    await waitFor(() => watch.isCurrent);
    await waitFor(() => opened() >= 3);
    expect(errors[0]).toMatchObject({ message: expect.stringContaining('said nothing for 0.05 s') });
  });

  test('an API server that takes its time is asked more rarely, and what it has said stays current meanwhile', async () => {
    fake.answer = async (request) => {
      if (!request.url?.includes('watch=')) await delay(50);
      return false;
    };
    await using watch = watchPods({ listEveryMs: 10, currentMs: 100 });
    await waitFor(() => watch.isCurrent);
    const first = lists();
    const outdated = await waitFor(() => (watch.isCurrent ? lists() > first && 'never' : 'once'), DEADLINE);
    expect(outdated).toBe('never');
  });

  test('an API server that is away: nothing is known to be current, and all is seen when it is back', async () => {
    fake.put('one');
    await using watch = watchPods({ listEveryMs: 20, currentMs: 300 });
    await isWatched();
    fake.answer = (request) => {
      request.socket.destroy();
      return true;
    };
    fake.endWatches('reset');
    await waitFor(() => !watch.isCurrent && errors.length >= 2, { what: 'a list and a watch that fail' });
    expect(watch.get('one')?.phase).toBe('Pending');
    const waiting = watch.waitFor('one', (pod) => pod?.phase === 'Running', DEADLINE);
    fake.put('one', RUNNING);
    fake.answer = null;
    await waiting;
    await waitFor(() => watch.isCurrent);
    await isWatched();
  });
});

describe('what comes in another order', () => {
  const pod = (version: string, name = 'one', uid = 'u1') => {
    const view = viewOfPod({ metadata: { name, uid, resourceVersion: version }, status: { phase: `at ${version}` } });
    if (!view) throw new Error('no pod');
    return view;
  };
  const table = () => {
    const seen: (string | undefined)[] = [];
    return { seen, pods: new PodTable((_name, view) => seen.push(view?.phase)) };
  };

  test('a list that was asked for before a pod was made does not end it', () => {
    const { pods, seen } = table();
    const begunAt = pods.beginList();
    pods.tell(pod('12'), { deleted: false });
    pods.replace({ begunAt, pods: [], resourceVersion: '11' });
    expect(seen).toEqual(['at 12']);
  });

  test('a list that still shows a pod that was deleted meanwhile does not bring it back, nor does the watch after it', () => {
    const { pods, seen } = table();
    pods.tell(pod('9'), { deleted: false });
    const begunAt = pods.beginList();
    pods.tell(pod('12'), { deleted: true });
    pods.replace({ begunAt, pods: [pod('9')], resourceVersion: '10' });
    pods.tell(pod('11'), { deleted: false });
    expect(seen).toEqual(['at 9', undefined]);
    pods.tell(pod('13', 'one', 'u2'), { deleted: false });
    expect(seen).toEqual(['at 9', undefined, 'at 13']);
  });

  test('what a list has made old is passed over', () => {
    const { pods, seen } = table();
    pods.replace({ begunAt: pods.beginList(), pods: [pod('100')], resourceVersion: '120' });
    pods.tell(pod('99'), { deleted: false });
    pods.tell(pod('110', 'two'), { deleted: false });
    expect(seen).toEqual(['at 100']);
  });

  test('a cluster that was restored from a backup, whose versions go back, is believed', () => {
    const { pods, seen } = table();
    pods.replace({ begunAt: pods.beginList(), pods: [pod('100'), pod('90', 'two')], resourceVersion: '120' });
    expect(pods.replace({ begunAt: pods.beginList(), pods: [pod('50')], resourceVersion: '60' })).toBe(true);
    pods.tell(pod('61'), { deleted: false });
    expect(seen).toEqual(['at 100', 'at 90', 'at 50', undefined, 'at 61']);
    expect([pods.get('one')?.phase, pods.get('two')]).toEqual(['at 61', undefined]);
  });
});

test('a view keeps what decides, and bounds what others wrote', () => {
  const view = viewOfPod({
    metadata: {
      ...{ name: 'one', uid: 'u', resourceVersion: '1', creationTimestamp: '2026-01-01T00:00:00Z' },
      deletionTimestamp: '2026-01-01T00:01:00Z',
      annotations: { 'slipway.dev/spec-hash': 'h', 'somebody.else/blob': 'x'.repeat(100_000) },
    },
    status: {
      ...{ phase: 'Failed', reason: 'Evicted', message: 'm'.repeat(5000) },
      containerStatuses: [
        { name: 'agent', state: { waiting: { reason: 'CrashLoopBackOff' } } },
        { name: 'git', state: { terminated: { exitCode: 0, reason: 'Completed', signal: 9 } } },
        { name: 'odd', state: {} },
      ],
    },
  });
  expect(view?.message).toHaveLength(2000);
  expect(view).toMatchObject({
    ...{ phase: 'Failed', reason: 'Evicted', deletesAt: new Date('2026-01-01T00:01:00Z') },
    annotations: { 'slipway.dev/spec-hash': 'h' },
    containers: [
      { name: 'agent', state: 'waiting', reason: 'CrashLoopBackOff' },
      { name: 'git', state: 'terminated', exitCode: 0, signal: 9 },
      { name: 'odd', state: 'unknown', reason: '', exitCode: null },
    ],
  });
  expect(Object.keys(view?.annotations ?? {})).toHaveLength(1);
  expect(viewOfPod({ metadata: {} })).toBeNull();
  expect(viewOfPod(null)).toBeNull();
});
