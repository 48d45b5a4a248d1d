/** What a worker asks of programs in pods: how much of it at a time, and what refusals mean. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { WebSocket } from 'ws';
import { SupersededError } from '../../../src/errors.ts';
import { SUPERSEDED_EXIT } from '../../../src/runtimes/inside/call.ts';
import { type KubeApi, openKubeApi } from '../../../src/runtimes/kubernetes/kube-api.ts';
import { type CalledPod, PodCalls } from '../../../src/runtimes/kubernetes/pod-calls.ts';
import { CONTAINERS } from '../../../src/runtimes/kubernetes/pod-layout.ts';
import { packData } from '../../../src/std/pack-data.ts';
import { endExec, type FakeKubeApi, openFakeKubeApi, sayExec } from '../../support/fake-kube-api.ts';
import { waitFor } from '../../support/wait-for.ts';

const MIB = 1024 ** 2;
const PIECE_BYTES = 32 * 1024;
const MAX_READERS = 128;
const MAX_LARGE_ANSWERS = 2;
const POD: CalledPod = { name: 'one', fence: null, check: async () => {}, onLoss: () => () => {} };

let fake: FakeKubeApi;
let api: KubeApi;
let calls: PodCalls;

beforeEach(async () => {
  fake = await openFakeKubeApi();
  api = await openKubeApi({ kubeconfig: fake.kubeconfig });
  calls = new PodCalls(api);
});
afterEach(async () => {
  await api[Symbol.asyncDispose]();
  await fake[Symbol.asyncDispose]();
});

const call = (operation: string, more: object = {}) => ({ container: CONTAINERS.git, operation, data: {}, ...more });

test('readers of output wait for each other, and what ends a run for none of them', async () => {
  const open: WebSocket[] = [];
  fake.exec = (socket, request) => {
    if (request.url?.includes('command=tail')) return void open.push(socket);
    sayExec(socket, 1, packData('done'));
    endExec(socket, 0);
  };
  const more = 3;
  let ended = 0;
  const readers = Array.from({ length: MAX_READERS + more }, async () => {
    for await (const _chunk of calls.stream(POD, call('tail')));
    ended += 1;
  });
  await waitFor(() => open.length === MAX_READERS, { what: 'all readers that may be there' });
  expect(await Promise.all(['kill', 'stop', 'look'].map((operation) => calls.ask(POD, call(operation))))).toEqual(
    Array.from({ length: 3 }, () => 'done'),
  );
  expect(open).toHaveLength(MAX_READERS);
  for (const socket of open.slice(0, more)) endExec(socket, 0);
  await waitFor(() => open.length === MAX_READERS + more, { what: 'the readers that have waited' });
  expect(ended).toBe(more);
  for (const socket of open) endExec(socket, 0);
  await Promise.all(readers);
});

test('a reader that waits for its turn ends at its deadline, and when its caller gives up', async () => {
  let open = 0;
  fake.exec = () => {
    open += 1;
  };
  const everybody = new AbortController();
  const read = async (more: object) => {
    for await (const _chunk of calls.stream(POD, call('tail', more)));
  };
  const readers = Array.from({ length: MAX_READERS }, () => read({ signal: everybody.signal }));
  await waitFor(() => open === MAX_READERS, { what: 'all readers that may be there' });
  await expect(read({ deadlineMs: 50 })).rejects.toMatchObject({ kind: 'timeout', started: false, retryable: true });
  const impatient = new AbortController();
  const waiting = read({ signal: impatient.signal });
  impatient.abort();
  await expect(waiting).rejects.toMatchObject({ kind: 'aborted', started: false });
  everybody.abort();
  await Promise.allSettled(readers);
  expect(open).toBe(MAX_READERS);
});

test('of large answers two are read at a time, the others stay in the network, and small ones pass by', async () => {
  const answer = packData('x'.repeat(16 * MIB));
  const small = packData('small');
  /** Of each exec how much the server could send, and what lets it send its end. */
  const sent: number[] = [];
  const ends: (() => void)[] = [];
  fake.exec = async (socket, request) => {
    if (request.url?.includes('command=look')) {
      sayExec(socket, 1, small);
      return endExec(socket, 0);
    }
    const index = sent.push(0) - 1;
    for (let at = 0; at < answer.length; at += PIECE_BYTES) {
      const piece = answer.subarray(at, at + PIECE_BYTES);
      await new Promise((resolve) => socket.send(Buffer.concat([Buffer.of(1), piece]), resolve));
      sent[index] = at + piece.length;
    }
    ends.push(() => endExec(socket, 0));
  };
  const asked = Array.from({ length: 5 }, () => calls.ask<string>(POD, call('exec')));
  await waitFor(() => sent.length === asked.length, { what: 'all execs' });
  let last = '';
  const isStill = () => {
    const before = last;
    last = sent.join();
    return last === before;
  };
  await waitFor(isStill, { everyMs: 200, what: 'servers that wait' });
  expect(await calls.ask(POD, call('look'))).toBe('small');
  // Sockets of this machine hold a few MiB each, too.
  expect(sent.filter((bytes) => bytes === answer.length)).toHaveLength(MAX_LARGE_ANSWERS);
  for (let given = 0; given < asked.length; given += 1) {
    await waitFor(() => ends.length > 0, { what: 'the next one' });
    ends.shift()?.();
  }
  expect((await Promise.all(asked)).map(({ length }) => length)).toEqual(asked.map(() => 16 * MIB));
});

test('a large answer that waits for its turn is given up at its deadline', async () => {
  fake.exec = (socket) => {
    const flood = Buffer.alloc(PIECE_BYTES + 1, 1);
    for (let bytes = 0; bytes < 2 * MIB; bytes += PIECE_BYTES) socket.send(flood);
  };
  const everybody = new AbortController();
  const first = [1, 2].map(() => calls.ask(POD, call('exec', { signal: everybody.signal })));
  const opened = () => fake.requests.length;
  await waitFor(() => opened() === 2, { what: 'the first two' });
  const late = new AbortController();
  const pod = {
    ...POD,
    async check() {
      late.abort(new Error('it was over'));
    },
  };
  await expect(calls.ask(pod, call('exec', { deadlineMs: 500, signal: late.signal }))).rejects.toThrow();
  expect(late.signal.aborted).toBe(true);
  everybody.abort();
  await Promise.allSettled(first);
});

test('a call of an attempt whose successor has the workspace ends as superseded', async () => {
  fake.exec = (socket) => {
    sayExec(socket, 2, 'Attempt 1 has been superseded: attempt 2 has the workspace.\n');
    endExec(socket, SUPERSEDED_EXIT);
  };
  const refusal = await calls.ask(POD, call('exec')).catch((error: unknown) => error);
  expect(refusal).toBeInstanceOf(SupersededError);
  expect(refusal).toMatchObject({ message: 'Attempt 1 has been superseded: attempt 2 has the workspace.' });
  expect(fake.requests).toHaveLength(1);
});
