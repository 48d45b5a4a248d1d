/** Workers that die, stop answering or shut down in the middle of a build. */
import { execFile } from 'node:child_process';
import { chmod, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { sql } from 'kysely';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Build, findBuild } from '../../src/builds/build.ts';
import { cancelBuild } from '../../src/builds/cancel-build.ts';
import { claimBuilds, heartbeat } from '../../src/builds/claim-builds.ts';
import { openPostgresLedger } from '../../src/builds/postgres-ledger.ts';
import { rescueBuilds } from '../../src/builds/rescue-builds.ts';
import { startBuild } from '../../src/builds/start-build.ts';
import { SupersededError } from '../../src/errors.ts';
import { readEvents } from '../../src/events/read-events.ts';
import { claimer, registerByHand } from '../support/claim.ts';
import { openTestStack, type TestStack } from '../support/orchestrator.ts';
import { script } from '../support/script.ts';
import { waitFor } from '../support/wait-for.ts';
import { startWorkerProcess } from '../support/worker-process.ts';

let stack: TestStack;

beforeEach(async () => {
  stack = await openTestStack();
});

afterEach(async () => {
  await stack[Symbol.asyncDispose]();
});

const run = promisify(execFile);
const linesOf = async (file: string) => (await readFile(file, 'utf8').catch(() => '')).split('\n').filter(Boolean);

async function start(prompt: string, repositoryUrl?: string): Promise<Build> {
  const project = await stack.createProject(repositoryUrl ? { repositoryUrl } : {});
  const { build } = await startBuild(stack.orchestrator, { projectId: project.id, spec: { prompt } }, 'test');
  return build;
}

const eventsOf = (build: Build) => readEvents(stack.orchestrator.db, { buildId: build.id, after: 0, limit: 1_000 });

/** Adds a line to a file outside of the checkout: how often the agent ran. */
const countRun = (file: string) => ({ run: `echo run >> ${file}` });

async function expectNumbered(build: Build): Promise<void> {
  const seqs = (await eventsOf(build)).map((event) => event.seq);
  expect(seqs).toEqual(seqs.map((_, index) => index + 1));
}

/** A bare repository on this machine whose hook kills the process in `pid` once. */
async function repositoryThatKills(hook: 'pre-receive' | 'post-receive'): Promise<{ url: string; pidFile: string }> {
  const url = join(stack.dataFolder, `${hook}.git`);
  const pidFile = join(stack.dataFolder, 'pid');
  await run('git', ['init', '--bare', '--initial-branch=main', url]);
  await mkdir(join(url, 'hooks'), { recursive: true });
  const file = join(url, 'hooks', hook);
  await writeFile(
    file,
    `#!/bin/sh\n[ -s ${pidFile} ] || exit 0\nkill -9 "$(cat ${pidFile})"\n: > ${pidFile}\nexit 0\n`,
  );
  await chmod(file, 0o755);
  return { url, pidFile };
}

test('a worker killed while the agent works: the next one re-attaches, the agent runs once', async () => {
  const counter = join(stack.dataFolder, 'counter');
  const gate = join(stack.dataFolder, 'gate');
  const child = await startWorkerProcess(stack);
  const wait = { run: `while [ ! -e ${gate} ]; do sleep 0.05; done` };
  const build = await start(
    script(countRun(counter), { print: 'before' }, wait, { write: { path: 'a', content: 'a' } }),
  );
  await waitFor(async () => (await linesOf(counter)).length === 1);
  child.kill('SIGKILL');
  await waitFor(() => child.signalCode);
  const killedAt = performance.now();
  await stack.openWorker();
  await writeFile(gate, '');
  const ended = await stack.finished(build.id);
  console.log(`kill -9 of the worker to the build's end: ${Math.round(performance.now() - killedAt)} ms`);
  expect(ended).toMatchObject({ status: 'COMPLETED', attemptNo: 2, result: { publication: 'PUSHED' } });
  expect(await linesOf(counter)).toEqual(['run']);
  const texts = (await eventsOf(build)).filter((event) => JSON.stringify(event.data).includes('"before"'));
  expect(texts).toHaveLength(1);
  await expectNumbered(build);
});

describe.each(['pre-receive', 'post-receive'] as const)('a worker killed in the remote’s %s hook', (hook) => {
  test('one commit is on the remote, and the agent is not run again', async () => {
    const { url, pidFile } = await repositoryThatKills(hook);
    const counter = join(stack.dataFolder, 'counter');
    const child = await startWorkerProcess(stack);
    await writeFile(pidFile, String(child.pid));
    const build = await start(script(countRun(counter), { write: { path: 'a', content: 'a' } }), url);
    await waitFor(() => child.signalCode, { what: 'the kill' });
    await stack.openWorker();
    const ended = await stack.finished(build.id, 30_000);
    expect(ended).toMatchObject({ status: 'COMPLETED', attemptNo: 2, result: { publication: 'PUSHED' } });
    expect(await linesOf(counter)).toEqual(['run']);
    const { stdout } = await run('git', ['--git-dir', url, 'log', '--format=%H', 'main']);
    expect(stdout.trim().split('\n')).toEqual([ended.result?.commitSha]);
    await expectNumbered(build);
  });
});

test('an agent killed together with its worker is started anew', async () => {
  const counter = join(stack.dataFolder, 'counter');
  const child = await startWorkerProcess(stack);
  const once = `[ "$(wc -l < ${counter})" -gt 1 ] || sleep 300`;
  const build = await start(script(countRun(counter), { run: once }, { write: { path: 'a', content: 'a' } }));
  await waitFor(async () => (await linesOf(counter)).length === 1);
  child.kill('SIGKILL');
  await waitFor(() => child.signalCode);
  // The whole group at once, as when the machine goes down: nobody is left who could say how it ended.
  const supervisor = Number.parseInt(await readFile(join(stack.dataFolder, 'builds', build.id, 'run/pid'), 'utf8'), 10);
  process.kill(-supervisor, 'SIGKILL');
  await stack.openWorker();
  const ended = await stack.finished(build.id);
  expect(ended.failure).toBeNull();
  expect(ended).toMatchObject({ status: 'COMPLETED', attemptNo: 2 });
  expect(await linesOf(counter)).toEqual(['run', 'run']);
});

test('a build that killed two workers is not given to a third', async () => {
  const pidFile = join(stack.dataFolder, 'pid');
  const build = await start(script({ run: `while sleep 0.05; do kill -9 "$(cat ${pidFile})"; done 2>&1` }));
  for (let losses = 1; losses <= 2; losses += 1) {
    const child = await startWorkerProcess(stack);
    await waitFor(async () => (await findBuild(stack.orchestrator.db, build.id))?.attemptNo === losses);
    await writeFile(pidFile, String(child.pid));
    await waitFor(() => child.signalCode, { what: 'the kill' });
  }
  await rm(pidFile);
  await stack.openWorker();
  const ended = await stack.finished(build.id);
  expect(ended.failure).toMatchObject({ reason: 'WORKER_LOST', retryable: true });
  await stack.orchestrator.runtime.sweep(build.id);
});

test('a worker that shuts down puts its build back, and another one finishes it', async () => {
  const gate = join(stack.dataFolder, 'gate');
  const first = await stack.openWorker();
  const build = await start(script({ run: `[ -e ${gate} ] || sleep 300` }, { write: { path: 'a', content: 'a' } }));
  await waitFor(async () => (await eventsOf(build)).some((event) => event.type === 'AGENT_ACTIVITY'));
  await first.drain(0);
  expect(first.running).toBe(0);
  expect(await stack.orchestrator.runtime.sweep(build.id)).toBe(0);
  await writeFile(gate, '');
  await stack.openWorker();
  expect(await stack.finished(build.id)).toMatchObject({ status: 'COMPLETED', attemptNo: 2 });
  const types = (await eventsOf(build)).map((event) => event.type);
  expect(types.filter((type) => type === 'RETRY_SCHEDULED')).toHaveLength(1);
  await expectNumbered(build);
});

describe('the fence', () => {
  /** A worker's claim without a worker: it never beats and never runs anything. */
  async function claimByHand() {
    const workerId = await registerByHand(stack);
    const [claimed] = await claimBuilds(stack.orchestrator, claimer(workerId), 1);
    if (!claimed) throw new Error('nothing was claimed');
    return { claimed, workerId, ledger: openPostgresLedger(stack.orchestrator, claimed) };
  }

  const expire = (build: Build) =>
    sql`update build_audit set lease_until = now() - interval '1 s' where id = ${build.id}`.execute(
      stack.orchestrator.db,
    );

  test('nothing that a superseded attempt writes arrives', async () => {
    const build = await start(script({ print: 'x' }));
    const { ledger, workerId, claimed } = await claimByHand();
    await ledger.write({ events: [{ type: 'PROGRESS', data: { message: 'alive' } }] });
    await expire(build);
    expect(await rescueBuilds(stack.orchestrator, 'expired')).toBe(1);
    const before = await eventsOf(build);
    const line = { stream: 'stdout', text: 'zombie' } as const;
    await expect(ledger.write({ lines: [line] })).rejects.toThrow(SupersededError);
    const commit = { sha: 'a'.repeat(40), branch: 'main', expected: null, filesChanged: [] };
    await expect(ledger.recordPushIntent(commit, null)).rejects.toThrow(SupersededError);
    await expect(ledger.finish({ status: 'COMPLETED', result: {} })).rejects.toThrow(SupersededError);
    await expect(ledger.release('x')).rejects.toThrow(SupersededError);
    const { owned } = await heartbeat(stack.orchestrator, {
      workerId,
      attempts: [{ buildId: build.id, attemptNo: claimed.attemptNo }],
    });
    expect(owned.size).toBe(0);
    expect(await eventsOf(build)).toEqual(before);
  });

  test('the same write sent twice is written once', async () => {
    const build = await start(script({ print: 'x' }));
    const { ledger } = await claimByHand();
    await ledger.write({ events: [{ type: 'PROGRESS', data: { message: 'one' } }] });
    // The answer of the next write is lost after its commit: its number is there when it is tried again.
    await sql`update build_audit set ledger_no = 2 where id = ${build.id}`.execute(stack.orchestrator.db);
    await ledger.write({ events: [{ type: 'PROGRESS', data: { message: 'two' } }] });
    const messages = (await eventsOf(build)).filter((event) => event.type === 'PROGRESS');
    expect(messages).toHaveLength(1);
  });

  test('who cancels before the push is intended gets no commit; who comes later is told so', async () => {
    const build = await start(script({ print: 'x' }));
    const { ledger } = await claimByHand();
    await cancelBuild(stack.orchestrator, { id: build.id }, 'test');
    const commit = { sha: 'a'.repeat(40), branch: 'main', expected: null, filesChanged: [] };
    expect(await ledger.recordPushIntent(commit, null)).toBe(false);
    await ledger.finish({ status: 'CANCELLED', result: {}, reason: null });
    const other = await start(script({ print: 'x' }));
    const later = await claimByHand();
    expect(await later.ledger.recordPushIntent(commit, null)).toBe(true);
    await expect(cancelBuild(stack.orchestrator, { id: other.id }, 'test')).rejects.toThrow('too late');
  });
});
