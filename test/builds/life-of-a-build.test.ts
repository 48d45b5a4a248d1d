import { execFile } from 'node:child_process';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Build } from '../../src/builds/build.ts';
import { readLog } from '../../src/builds/build-log.ts';
import { cancelBuild } from '../../src/builds/cancel-build.ts';
import { createAndBuild } from '../../src/builds/create-and-build.ts';
import { retryBuild } from '../../src/builds/retry-build.ts';
import { startBuild } from '../../src/builds/start-build.ts';
import { BuildStateError, IdempotencyConflictError } from '../../src/errors.ts';
import { readEvents } from '../../src/events/read-events.ts';
import type { Project } from '../../src/projects/project.ts';
import { managedRepositoryPath } from '../../src/projects/repository.ts';
import { openTestStack, type TestStack } from '../support/orchestrator.ts';
import { script } from '../support/script.ts';
import { waitFor } from '../support/wait-for.ts';

let stack: TestStack;

beforeAll(async () => {
  stack = await openTestStack();
  await stack.openWorker(4);
});

afterAll(async () => {
  await stack[Symbol.asyncDispose]();
});

const start = (project: Project, prompt: string, spec: object = {}, idempotencyKey?: string) =>
  startBuild(stack.orchestrator, { projectId: project.id, spec: { prompt, ...spec }, idempotencyKey }, 'test');

async function run(project: Project, prompt: string, spec: object = {}): Promise<Build> {
  const { build } = await start(project, prompt, spec);
  return stack.finished(build.id);
}

async function git(project: Project, ...args: string[]): Promise<string> {
  const gitDir = managedRepositoryPath(stack.orchestrator.config, project.id);
  const { stdout } = await promisify(execFile)('git', ['--git-dir', gitDir, ...args]);
  return stdout.trim();
}

const eventsOf = (build: Build) => readEvents(stack.orchestrator.db, { buildId: build.id, after: 0, limit: 1_000 });

test('a build becomes one commit on the remote', async () => {
  const project = await stack.createProject();
  const build = await run(
    project,
    script(
      { write: { path: 'src/hello.txt', content: 'hello\n' } },
      { run: 'head -c 4096 /dev/urandom > blob.bin && printf "said\\n"' },
    ),
  );
  expect(build).toMatchObject({ status: 'COMPLETED', phase: 'DONE', failure: null, number: 1, attemptNo: 1 });
  expect(build.result).toMatchObject({ success: true, publication: 'PUSHED', branch: 'main' });
  expect(await git(project, 'rev-parse', 'refs/heads/main')).toBe(build.result?.commitSha);
  expect(build.result?.filesChanged.map((file) => [file.path, file.status])).toEqual([
    ['blob.bin', 'ADDED'],
    ['src/hello.txt', 'ADDED'],
  ]);
  expect(await git(project, 'log', '-1', '--format=%B')).toContain('Slipway-Build: build_');
  const events = await eventsOf(build);
  expect(events.map((event) => event.seq)).toEqual(events.map((_, index) => index + 1));
  const types = events.map((event) => event.type);
  expect(types[0]).toBe('QUEUED');
  expect(types.at(-1)).toBe('FINISHED');
  for (const type of ['STARTED', 'AGENT_ACTIVITY', 'GIT_COMMITTED', 'GIT_PUSHED']) expect(types).toContain(type);
  const log = await readLog(stack.orchestrator.db, { buildId: build.id, after: 0, limit: 100 });
  expect(log.flatMap((chunk) => chunk.lines).some((line) => line.text.includes('said'))).toBe(true);
  expect(log.flatMap((chunk) => chunk.lines).map((line) => line.number)).toEqual(
    Array.from({ length: build.lastLine }, (_, index) => index + 1),
  );
});

test('the second build stands on the first one, and another branch begins at the default branch', async () => {
  const project = await stack.createProject();
  const first = await run(project, script({ write: { path: 'a.txt', content: 'a' } }));
  const second = await run(project, script({ write: { path: 'b.txt', content: 'b' } }), { branch: 'topic/b' });
  expect(await git(project, 'rev-parse', 'topic/b')).toBe(second.result?.commitSha);
  expect(await git(project, 'rev-parse', 'topic/b~1')).toBe(first.result?.commitSha);
});

test('nothing changed is said so, and a failing agent pushes nothing', async () => {
  const project = await stack.createProject();
  const nothing = await run(project, script({ print: 'I looked at it.' }));
  expect(nothing.failure).toMatchObject({ reason: 'NO_CHANGES', retryable: false, phase: 'VERIFYING' });
  const asked = await run(project, script({ print: 'The answer.' }), { autoCommit: false });
  expect(asked).toMatchObject({ status: 'COMPLETED', result: { publication: 'NO_CHANGES', commitSha: null } });
  const failing = await run(project, script({ write: { path: 'x', content: 'x' } }, { fail: 'it broke' }));
  expect(failing).toMatchObject({ status: 'FAILED', failure: { reason: 'AGENT_ERROR', message: 'it broke' } });
  expect(await git(project, 'for-each-ref')).toBe('');
});

test('without autoPush the commit is kept as a bundle', async () => {
  const project = await stack.createProject();
  const build = await run(project, script({ write: { path: 'a.txt', content: 'a' } }), { autoPush: false });
  expect(build.result).toMatchObject({ publication: 'COMMITTED', artifacts: [{ name: 'slipway.bundle' }] });
  expect(await git(project, 'for-each-ref')).toBe('');
});

test('one idempotency key is one build; with another input it is a conflict', async () => {
  const project = await stack.createProject();
  const prompt = script({ write: { path: 'a.txt', content: 'a' } });
  const started = await Promise.all(Array.from({ length: 10 }, () => start(project, prompt, {}, 'key-1')));
  expect(new Set(started.map(({ build }) => build.id)).size).toBe(1);
  expect(started.filter(({ deduplicated }) => !deduplicated)).toHaveLength(1);
  await expect(start(project, 'something else', {}, 'key-1')).rejects.toThrow(IdempotencyConflictError);
  const next = await start(project, prompt);
  expect(next.build.number).toBe(2);
});

test('50 callers of createAndBuild with one key make one project and one build', async () => {
  const input = { project: { name: 'Fifty' }, spec: { prompt: script({ print: 'hi' }) }, idempotencyKey: 'fifty' };
  const made = await Promise.all(Array.from({ length: 50 }, () => createAndBuild(stack.orchestrator, input, 'bot')));
  expect(new Set(made.map(({ build }) => build.id)).size).toBe(1);
  expect(new Set(made.map(({ project }) => project.id)).size).toBe(1);
  expect(made.filter(({ deduplicated }) => !deduplicated)).toHaveLength(1);
  await stack.finished(made[0]?.build.id ?? '');
});

test('a cancelled build is dead before it says so', async () => {
  const project = await stack.createProject();
  const { build } = await start(
    project,
    script({ run: 'setsid sh -c "trap \\"\\" TERM; sleep 300" & trap "" TERM; echo up > up; sleep 300' }),
  );
  const checkout = join(stack.dataFolder, 'builds', build.id, 'work');
  await waitFor(async () => (await readdir(checkout).catch((): string[] => [])).includes('up'), { what: 'the child' });
  await cancelBuild(stack.orchestrator, { id: build.id, reason: 'enough' }, 'test');
  const ended = await stack.finished(build.id);
  expect(ended).toMatchObject({ status: 'CANCELLED', cancelReason: 'enough', result: { success: false } });
  expect((await eventsOf(build)).at(-1)).toMatchObject({ type: 'FINISHED', data: { message: 'enough' } });
  expect(await stack.orchestrator.runtime.sweep(build.id)).toBe(0);
  await expect(cancelBuild(stack.orchestrator, { id: build.id }, 'test')).rejects.toThrow(BuildStateError);
});

test('a waiting build is cancelled at once', async () => {
  const project = await stack.createProject();
  const { build } = await start(project, 'later', { runAfter: new Date(Date.now() + 3_600_000) });
  expect(await cancelBuild(stack.orchestrator, { id: build.id }, 'test')).toMatchObject({ status: 'CANCELLED' });
});

test('limits end an agent: wall time, silence, cost', async () => {
  const project = await stack.createProject();
  const [wall, silence, cost] = await Promise.all([
    run(project, script({ print: 'x' }, { wait: 60 }), { limits: { wallSeconds: 1 } }),
    run(project, script({ print: 'x' }, { wait: 60 }), { limits: { silenceSeconds: 1 } }),
    run(project, script({ usage: { costUsd: 2 } }, { wait: 60 }), { limits: { maxCostUsd: 1 } }),
  ]);
  expect(wall?.failure?.reason).toBe('TIMEOUT');
  expect(silence?.failure?.reason).toBe('IDLE_TIMEOUT');
  expect(cost?.failure?.reason).toBe('BUDGET_EXCEEDED');
});

test('a retry is a new build with the same spec', async () => {
  const project = await stack.createProject();
  const failed = await run(project, script({ fail: 'once' }));
  const { build } = await retryBuild(stack.orchestrator, { id: failed.id }, 'test');
  const again = await stack.finished(build.id);
  expect(again).toMatchObject({ retryOf: failed.id, source: 'RETRY', number: 2, spec: { prompt: failed.spec.prompt } });
});

test('workspaces of finished builds are gone', async () => {
  await waitFor(async () => {
    const folders = await readdir(join(stack.dataFolder, 'builds'));
    const left = await Promise.all(folders.map((id) => readdir(join(stack.dataFolder, 'builds', id)).catch(() => [])));
    return left.every((names) => names.every((name) => name === 'home'));
  });
});
