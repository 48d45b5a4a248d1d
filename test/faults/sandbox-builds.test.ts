/** Whole builds in the sandbox: their network, their end, and workers that die. */
import { randomUUID } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Build } from '../../src/builds/build.ts';
import type { BuildSpecInput } from '../../src/builds/build-spec.ts';
import { cancelBuild } from '../../src/builds/cancel-build.ts';
import { startBuild } from '../../src/builds/start-build.ts';
import { readEvents } from '../../src/events/read-events.ts';
import { openTestStack, type TestStack } from '../support/orchestrator.ts';
import { bubblewrap } from '../support/sandbox.ts';
import { script } from '../support/script.ts';
import { waitFor } from '../support/wait-for.ts';
import { startWorkerProcess } from '../support/worker-process.ts';

const SANDBOX = { SLIPWAY_SANDBOX: 'bubblewrap' };

describe.skipIf(bubblewrap === null)('builds in the sandbox', { timeout: 150_000 }, () => {
  let stack: TestStack;
  let server: Server;
  let port: number;
  let requests: string[];
  /** Requests to /gate are answered from then on. */
  let open: () => void;

  beforeEach(async () => {
    stack = await openTestStack(SANDBOX);
    requests = [];
    const gate = new Promise<void>((opened) => {
      open = opened;
    });
    server = createServer(async (request, response) => {
      requests.push(request.url ?? '');
      if (request.url === '/gate') await gate;
      response.end('from outside');
    });
    await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
    port = (server.address() as AddressInfo).port;
  });

  afterEach(async () => {
    open();
    server.closeAllConnections();
    server.close();
    await stack[Symbol.asyncDispose]();
  });

  async function start(steps: readonly object[], spec: Partial<BuildSpecInput> = {}): Promise<Build> {
    const project = await stack.createProject();
    const input = { projectId: project.id, spec: { prompt: script(...steps), ...spec } };
    return (await startBuild(stack.orchestrator, input, 'test')).build;
  }

  /** By the proxy that the environment names: `-e` prints the answer or why there is none. */
  const get = (url: string) =>
    `"${process.execPath}" -e 'fetch(process.argv[1]).then((r) => r.text(), (e) => e.cause.message).then(console.log)' ${url}`;
  const listed = () => ({ access: 'HOSTS' as const, hosts: [`127.0.0.1:${port}`] });
  const eventsOf = ({ id }: Build) => readEvents(stack.orchestrator.db, { buildId: id, after: 0, limit: 1_000 });

  async function warnings(build: Build): Promise<string[]> {
    const events = await eventsOf(build);
    return events.flatMap(({ type, data }) => (type === 'WARNING' ? [(data as { message: string }).message] : []));
  }

  test('reach what is listed, and are warned once of each host that is not', async () => {
    await stack.openWorker();
    const refused = 'http://127.0.0.1:7777/';
    const steps = [
      { run: `${get(`http://127.0.0.1:${port}/page`)} > page.txt` },
      ...[1, 2, 3].map(() => ({ run: get(refused) })),
      { write: { path: 'done.txt', content: 'done' } },
    ];
    const build = await start(steps, { network: listed() });
    const ended = await stack.finished(build.id, 60_000);
    expect(ended).toMatchObject({ status: 'COMPLETED', result: { publication: 'PUSHED' } });
    expect(ended.result?.filesChanged.map(({ path }) => path)).toEqual(['done.txt', 'page.txt']);
    expect(requests).toEqual(['/page']);
    expect(await warnings(build)).toEqual([
      'No connection to 127.0.0.1:7777: it is not among the hosts that this build may reach.',
    ]);
    expect(await stack.orchestrator.runtime.sweep(build.id)).toBe(0);
  });

  test('go on when their worker is killed, network and all, and the next one re-attaches', async () => {
    const worker = await startWorkerProcess(stack, SANDBOX);
    const steps = [
      { run: 'echo run >> runs.txt' },
      { run: get(`http://127.0.0.1:7777/`) },
      { run: `${get(`http://127.0.0.1:${port}/gate`)} > gate.txt` },
      { run: get(`http://127.0.0.1:7777/`) },
    ];
    const build = await start(steps, { network: listed() });
    await waitFor(() => requests.includes('/gate'), { deadlineMs: 30_000, what: 'the agent at the gate' });
    await waitFor(async () => (await warnings(build)).length > 0, { deadlineMs: 30_000, what: 'the warning' });
    worker.kill('SIGKILL');
    await stack.openWorker();
    await waitFor(async () => (await eventsOf(build)).filter(({ type }) => type === 'STARTED').length === 2, {
      deadlineMs: 30_000,
      what: 'the second attempt',
    });
    open();
    const ended = await stack.finished(build.id, 60_000);
    expect(ended).toMatchObject({ status: 'COMPLETED', attemptNo: 2 });
    expect(ended.result?.filesChanged).toMatchObject([
      { path: 'gate.txt', additions: 1 },
      { path: 'runs.txt', additions: 1 },
    ]);
    expect(await warnings(build)).toHaveLength(1);
  });

  test.each([{ access: 'ALL' as const }, { access: 'HOSTS' as const, hosts: ['*'] }])(
    'are dead when they are cancelled, daemons without the mark included (network $access)',
    async (network) => {
      await stack.openWorker();
      const mark = `3${Date.now()}`;
      const build = await start([{ run: `env -i setsid sleep ${mark} & echo ready; sleep ${mark}` }], { network });
      await waitFor(async () => (await running(mark)) === 2, { deadlineMs: 30_000, what: 'the agent' });
      await cancelBuild(stack.orchestrator, { id: build.id, reason: null }, 'test');
      expect(await stack.finished(build.id, 30_000)).toMatchObject({ status: 'CANCELLED' });
      expect(await running(mark)).toBe(0);
    },
  );

  test('do not see each other, nor the data folder', async () => {
    await stack.openWorker(2);
    const secret = randomUUID();
    const other = await start([
      { write: { path: 'neighbour.txt', content: secret } },
      { run: get(`http://127.0.0.1:${port}/gate`) },
    ]);
    await waitFor(() => requests.includes('/gate'), { deadlineMs: 30_000, what: 'the neighbour' });
    const spy = await start([
      {
        run: `ls -RA ${stack.dataFolder} | tee seen.txt; cat $(find / -name neighbour.txt 2>/dev/null) </dev/null; true`,
      },
    ]);
    const ended = await stack.finished(spy.id, 60_000);
    open();
    await stack.finished(other.id, 30_000);
    expect(ended.status).toBe('COMPLETED');
    const said = JSON.stringify(await eventsOf(spy));
    expect(said).toContain(spy.id);
    expect(said).not.toContain(other.id);
    for (const name of [secret, 'master.key', 'artifacts', 'HEAD.lock']) expect(said).not.toContain(name);
  });
});

/** Processes of this machine that sleep for this long. */
async function running(seconds: string): Promise<number> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const lines = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')));
  return lines.filter((line) => line === `sleep\0${seconds}\0`).length;
}
