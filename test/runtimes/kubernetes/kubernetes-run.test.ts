/** Reading a run over execs that break without a word. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type KubeApi, openKubeApi } from '../../../src/runtimes/kubernetes/kube-api.ts';
import { KubernetesRun } from '../../../src/runtimes/kubernetes/kubernetes-run.ts';
import { PodCalls } from '../../../src/runtimes/kubernetes/pod-calls.ts';
import { packData } from '../../../src/std/pack-data.ts';
import { endExec, type FakeKubeApi, openFakeKubeApi, sayExec } from '../../support/fake-kube-api.ts';

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

const openRun = () =>
  new KubernetesRun({
    ...{ buildId: 'one', calls: new PodCalls(api), redact: (text: string) => text, onRead: () => {}, silenceMs: 200 },
    pod: { name: 'one', fence: null, check: async () => {}, onLoss: () => () => {} },
  });
const ended = { hasRun: true, exit: { kind: 'exited', code: 0 }, outputBytes: 8, oomKills: 0 };
const frame = (data: string) => `${JSON.stringify({ stream: 'stdout', bytes: data.length })}\n${data}`;

test('an exec that falls silent, and does not even answer pings, is given up; another one reads on', async () => {
  let execs = 0;
  fake.exec = (socket) => {
    execs += 1;
    sayExec(socket, 1, frame(execs === 1 ? 'one\n' : 'two\n'));
    if (execs === 1) return socket.pause();
    sayExec(socket, 1, `${JSON.stringify({ ended })}\n`);
    endExec(socket, 0);
  };
  const run = openRun();
  const batches = await Array.fromAsync(run.read({ stdout: 0, stderr: 0 }, new AbortController().signal));
  expect(batches.flatMap(({ lines }) => lines.map(({ text }) => text))).toEqual(['one', 'two']);
  expect(execs).toBe(2);
  expect(await run.exitStatus()).toEqual({ kind: 'exited', code: 0 });
});

test('what came last before a reader pauses is told at once', async () => {
  let execs = 0;
  fake.exec = (socket) => {
    execs += 1;
    if (execs > 1) return;
    sayExec(socket, 1, `${frame('one\n')}${JSON.stringify({ paused: true })}\n`);
    endExec(socket, 0);
  };
  const stop = new AbortController();
  for await (const { lines } of openRun().read({ stdout: 0, stderr: 0 }, stop.signal)) {
    expect([lines.map(({ text }) => text), execs]).toEqual([['one'], 1]);
    stop.abort();
  }
  expect(stop.signal.aborted).toBe(true);
});

test('who asks how much was printed while the pod does not answer waits for the same answer', async () => {
  let execs = 0;
  fake.exec = (socket) => {
    execs += 1;
    socket.once('message', () => {
      sayExec(socket, 1, packData({ ...ended, exit: null }));
      endExec(socket, 0);
    });
  };
  const run = openRun();
  expect(await Promise.all([run.outputBytes(), run.outputBytes(), run.outputBytes()])).toEqual([8, 8, 8]);
  expect(execs).toBe(1);
});

test('an agent that prints faster than it is read has printed what its pod says', async () => {
  const printed = 300_000_000;
  fake.exec = (socket) => {
    sayExec(socket, 1, `${JSON.stringify({ stream: 'stderr', bytes: 4, size: printed })}\none\n`);
  };
  const run = openRun();
  const stop = new AbortController();
  for await (const { lines } of run.read({ stdout: 0, stderr: 0 }, stop.signal)) {
    expect(lines.map(({ text }) => text)).toEqual(['one']);
    stop.abort();
  }
  expect(await run.outputBytes()).toBe(printed);
});
