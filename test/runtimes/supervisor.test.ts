/** A run without a worker ends by itself: nobody tells it any more that it is wanted, or its time is over. */
import { randomUUID } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openLocalRuntime } from '../../src/runtimes/local.ts';
import { readProcessStart } from '../../src/runtimes/process-start.ts';
import type { Run, Runtime, Workspace } from '../../src/runtimes/runtime.ts';
import { findMarked } from '../../src/runtimes/sweep-processes.ts';
import { ALL_OF_THE_NETWORK } from '../../src/std/network-access.ts';
import { waitFor } from '../support/wait-for.ts';

let folder: string;
let build: string;
let runtime: Runtime;
let workspace: Workspace;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'slipway-supervisor-'));
  build = randomUUID();
  runtime = openLocalRuntime({ folder });
  workspace = await runtime.open(build);
});

afterEach(async () => {
  await runtime.sweep(build);
  await rm(folder, { recursive: true, force: true });
});

function start(
  script: string,
  limits: { quietSeconds?: number; maxSeconds?: number },
  opened: Workspace = workspace,
): Promise<Run> {
  return opened.start({
    argv: ['/bin/sh', '-c', script],
    cwd: opened.paths.work,
    env: { PATH: '/usr/local/bin:/usr/bin:/bin' },
    stdin: '',
    redact: (line) => line,
    network: ALL_OF_THE_NETWORK,
    ...limits,
  });
}

const alive = () => findMarked(`SLIPWAY_BUILD_ID=${build}`);
const CHILD_OF_ITS_OWN = 'setsid sleep 300 & trap "" TERM; echo up; sleep 300';

test('a run that nobody looks after ends, with all that it started', async () => {
  const run = await start(CHILD_OF_ITS_OWN, { quietSeconds: 1 });
  await waitFor(async () => (await run.outputBytes()) > 0);
  await waitFor(async () => (await alive()).length === 0, { what: 'the end of all processes' });
  expect(await run.exitStatus()).toEqual({ kind: 'lost' });
});

test('a run that is looked after goes on, and ends when its time is over', async () => {
  const run = await start(CHILD_OF_ITS_OWN, { quietSeconds: 1, maxSeconds: 4 });
  const begun = performance.now();
  const renewed = async () => {
    await runtime.renew(build);
    return (await run.exitStatus()) !== null;
  };
  await waitFor(renewed, { what: 'the end' });
  expect(performance.now() - begun).toBeGreaterThan(3_000);
  await waitFor(async () => (await alive()).length === 0, { what: 'the end of all processes' });
});

/** Many at once: the end of such a short run meets its watcher while that one begins. */
test('nothing is left beside runs that have ended', async () => {
  const builds = Array.from({ length: 20 }, () => randomUUID());
  const left = await Promise.all(
    builds.map(async (each) => {
      const opened = await runtime.open(each);
      const run = await start('exit 3', {}, opened);
      await waitFor(() => run.exitStatus());
      expect(await run.exitStatus()).toEqual({ kind: 'exited', code: 3 });
      expect(await readFile(join(opened.paths.root, 'run/exit'), 'utf8')).toBe(' 3\n');
      const supervisor = Number.parseInt(await readFile(join(opened.paths.root, 'run/pid'), 'utf8'), 10);
      await waitFor(async () => (await readProcessStart(supervisor)) === null);
      return findMarked(`SLIPWAY_BUILD_ID=${each}`);
    }),
  );
  expect(left.flat()).toEqual([]);
});

test('the signals of a group do not end the watch', async () => {
  const run = await start('trap "" TERM; echo up; sleep 300', { quietSeconds: 1 });
  await waitFor(async () => (await run.outputBytes()) > 0);
  const leader = Number.parseInt(await readFile(join(workspace.paths.root, 'run/pid'), 'utf8'), 10);
  process.kill(-leader, 'SIGTERM');
  await waitFor(async () => (await alive()).length === 0, { what: 'the end of all processes' });
});

test('to look after a build without a run does nothing', async () => {
  await runtime.renew(build);
  await runtime.renew(randomUUID());
});
