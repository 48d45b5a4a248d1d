/** The way to the API server breaks, falls silent or is closed: builds go on, and no line is lost or comes twice. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { createRandom } from '../chaos/random.ts';
import { CLUSTER_PROBLEM } from '../support/cluster.ts';
import { script } from '../support/script.ts';
import { openTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts';
import { waitFor } from '../support/wait-for.ts';
import {
  agentStarts,
  DEADLINE_MS,
  expectWholeOutput,
  type FaultRig,
  gated,
  openFaultRig,
  says,
  WRITE,
} from './fault-rig.ts';

const SEED = Number(process.env.KILL_SEED ?? Math.floor(Math.random() * 2 ** 31));
const LINES = 1_500;
const MIN_CUT_MS = 100;
const MAX_CUT_MS = 1_500;
/** What is known of the pods counts as known for 30 s. */
const KNOWN_MS = 35_000;
/** An outage of three minutes costs a test run as much: only where SLIPWAY_TEST_LONG is set. */
const OUTAGES_S = process.env.SLIPWAY_TEST_LONG ? [30, 180] : [30];

describe.skipIf(CLUSTER_PROBLEM).concurrent('the way to the API server', { timeout: 600_000 }, () => {
  test('that is cut again and again: every line comes once', () =>
    withProxy('exec streams cut at random', async (rig, proxy) => {
      const worker = await rig.stack.openWorker(1);
      const random = createRandom(SEED);
      const print = `i=0; while [ $i -lt ${LINES} ]; do i=$((i + 1)); echo "tick $i"; sleep 0.01; done`;
      const build = await rig.start(await rig.openProject(), script({ print: 'begin' }, { run: print }, WRITE));
      await rig.happened(build, 'the agent', says('begin'));
      const over = new AbortController();
      let cuts = 0;
      const cutting = (async () => {
        for (; !over.signal.aborted; cuts += 1) {
          proxy.cut();
          await delay(random.between(MIN_CUT_MS, MAX_CUT_MS), undefined, { signal: over.signal }).catch(() => {});
        }
      })();
      const ended = await rig.finished(build).finally(() => over.abort());
      await cutting;
      expect(ended).toMatchObject({ status: 'COMPLETED', failure: null, attemptNo: 1 });
      expect(await expectWholeOutput(rig, build)).toBe(LINES);
      expect(await rig.commits(build)).toBe(1);
      await rig.slotIsFree(worker, build);
      await rig.noPodIsLeft();
      return `COMPLETED, ${LINES} lines once, ${cuts} cuts (KILL_SEED=${SEED})`;
    }));

  for (const seconds of OUTAGES_S) {
    test.for(['silence', 'refuse'] as const)(`that is gone for ${seconds} s (%s): the build goes on`, (kind) =>
      withProxy(`API server away for ${seconds} s (${kind})`, (rig, proxy) => outlive(rig, proxy, { kind, seconds })),
    );
  }
});

/** The agent works on meanwhile, and ends; the worker keeps its slot and its build, and takes no other one. */
async function outlive(
  rig: FaultRig,
  proxy: TcpProxy,
  { kind, seconds }: { readonly kind: 'silence' | 'refuse'; readonly seconds: number },
): Promise<string> {
  const { runtime } = rig.stack.orchestrator;
  const worker = await rig.stack.openWorker(2);
  const project = await rig.openProject();
  const build = await rig.start(project, gated());
  await rig.happened(build, 'the agent', says('begin'));
  const startedAt = performance.now();
  proxy.disturb({ kind });
  let waits = '';
  try {
    await rig.openGate(build);
    await waitFor(() => runtime.problem(), { deadlineMs: KNOWN_MS, what: 'the word that the cluster does not answer' });
    waits = `said after ${((performance.now() - startedAt) / 1000).toFixed(1)} s`;
    const other = await rig.start(project, script(WRITE));
    await delay(Math.max(0, seconds * 1000 - (performance.now() - startedAt)));
    expect(await rig.find(build)).toMatchObject({ status: 'RUNNING', attemptNo: 1 });
    expect(await rig.find(other)).toMatchObject({ status: 'PENDING', attemptNo: 0 });
    expect(worker.running).toBe(1);
  } finally {
    proxy.disturb(null);
  }
  const backAt = performance.now();
  expect(await rig.finished(build)).toMatchObject({ status: 'COMPLETED', failure: null, attemptNo: 1 });
  const endedAfter = ((performance.now() - backAt) / 1000).toFixed(1);
  const ticks = await expectWholeOutput(rig, build);
  expect(await agentStarts(rig, build)).toBe(1);
  expect(await rig.podsMade(build)).toBe(1);
  expect(await rig.commits(build)).toBe(1);
  await waitFor(() => worker.running === 0, { deadlineMs: DEADLINE_MS, what: 'the end of the next build' });
  expect(runtime.problem()).toBeNull();
  await rig.noPodIsLeft();
  return `COMPLETED, attempt 1, ${ticks} lines once, ${waits}, ended ${endedAfter} s after`;
}

/** A rig whose worker reaches the API server by a proxy. */
async function withProxy(fault: string, run: (rig: FaultRig, proxy: TcpProxy) => Promise<string>): Promise<void> {
  await using opened = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'slipway-kubeconfig-'));
  opened.defer(() => rm(folder, { recursive: true, force: true }));
  const direct = await readFile(process.env.KUBECONFIG ?? '', 'utf8');
  const [, address = '', port = ''] = /server: "?(https:\/\/[^:"]+):(\d+)/.exec(direct) ?? [];
  const proxy = opened.use(await openTcpProxy(Number(port)));
  const kubeconfig = join(folder, 'kubeconfig');
  await writeFile(kubeconfig, direct.replace(`${address}:${port}`, `https://127.0.0.1:${proxy.port}`));
  const rig = opened.use(await openFaultRig({ kubeconfig }));
  await rig.timed(fault, () => run(rig, proxy));
}
