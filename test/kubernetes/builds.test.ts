/** Builds in pods of a real cluster, from the start to the commit, and what becomes of them when their pod does not live. */
import { execFileSync } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Build } from '../../src/builds/build.ts';
import { cancelBuild } from '../../src/builds/cancel-build.ts';
import { startBuild } from '../../src/builds/start-build.ts';
import { readEvents } from '../../src/events/read-events.ts';
import type { Project } from '../../src/projects/project.ts';
import { CLUSTER_PROBLEM, openTestNamespace, type TestNamespace } from '../support/cluster.ts';
import { type ClusterStack, openClusterStack } from '../support/cluster-stack.ts';
import { script } from '../support/script.ts';
import { waitFor } from '../support/wait-for.ts';

const DEADLINE_MS = 120_000;
const PASSWORD = 'correct-horse-battery-staple';

describe.skipIf(CLUSTER_PROBLEM).concurrent('builds in pods', { timeout: 240_000 }, () => {
  let cluster: TestNamespace;
  let opened: ClusterStack;
  let project: Project;
  let repository: string;

  beforeAll(async () => {
    cluster = await openTestNamespace();
    opened = await openClusterStack(cluster, {}, { gitPassword: PASSWORD });
    const remote = await opened.git.createRepository('project');
    repository = remote.path;
    project = await opened.stack.createProject({
      repositoryUrl: opened.fromPods(remote.url),
      gitCredentials: { username: 'slipway', password: PASSWORD },
    });
    await opened.stack.openWorker(5);
  }, 120_000);

  afterAll(async () => {
    await opened[Symbol.asyncDispose]();
    await cluster[Symbol.asyncDispose]();
  }, 60_000);

  const start = async (prompt: string, spec: object = {}) => {
    const input = { projectId: project.id, spec: { prompt, ...spec } };
    return (await startBuild(opened.stack.orchestrator, input, 'test')).build;
  };
  const finished = (build: Build) => opened.stack.finished(build.id, DEADLINE_MS);
  const run = async (prompt: string, spec: object = {}) => finished(await start(prompt, spec));
  const eventsOf = (build: Build) =>
    readEvents(opened.stack.orchestrator.db, { buildId: build.id, after: 0, limit: 1_000 });
  const git = (...args: string[]) =>
    execFileSync('git', ['--git-dir', repository, ...args], { encoding: 'utf8' }).trim();
  const podOf = (build: Build) => `slipway-${build.id}`;
  const running = (build: Build) =>
    waitFor(async () => (await eventsOf(build)).some(({ type }) => type === 'AGENT_ACTIVITY'), {
      deadlineMs: DEADLINE_MS,
      what: 'the agent',
    });
  /** A build whose agent waits for what will not come. */
  const startWaiting = async (spec: object = {}) => {
    const build = await start(script({ print: 'waiting' }, { run: 'sleep 300' }), spec);
    await running(build);
    return build;
  };
  const noPodIsLeft = ({ id }: Build) =>
    waitFor(
      async () => (await cluster.kubectl(['get', 'pods', '-o', 'name', '-l', `slipway.dev/build=${id}`])) === '',
      {
        deadlineMs: 60_000,
        what: 'the end of its pods',
      },
    );

  test('a build becomes one commit on the remote, and its pod goes', async () => {
    const build = await run(
      script({ write: { path: 'src/hello.txt', content: 'hello\n' } }, { run: 'head -c 4096 /dev/urandom > blob.bin' }),
      { branch: 'hello' },
    );
    expect(build).toMatchObject({ status: 'COMPLETED', failure: null, attemptNo: 1 });
    expect(git('rev-parse', 'refs/heads/hello')).toBe(build.result?.commitSha);
    expect(build.result?.filesChanged.map((file) => file.path)).toEqual(['blob.bin', 'src/hello.txt']);
    await noPodIsLeft(build);
  });

  test('the agent sees neither the trusted git folder nor a credential of the repository', async () => {
    // What must not be found is in two pieces here: the script is among what is looked at.
    const look = [
      'ls /slipway/git 2>&1 && echo "the folder is"" there"',
      'cat /proc/*/environ /proc/*/cmdline 2>/dev/null | tr "\\0" "\\n" >/tmp/all; env >>/tmp/all',
      `grep -ci -e GIT_PASS''WORD -e ${PASSWORD.slice(0, 4)}''${PASSWORD.slice(4)} /tmp/all; echo "looked at $(wc -l </tmp/all)"`,
      'until [ -e /tmp/go ]; do sleep 0.2; done',
    ].join('; ');
    const started = await start(script({ run: look }, { write: { path: 'seen.txt', content: 'seen' } }));
    await running(started);
    const manifest = await cluster.kubectl(['get', 'pod', podOf(started), '-o', 'yaml']);
    expect(manifest).toContain(podOf(started));
    expect(manifest).not.toContain(PASSWORD);
    await cluster.kubectl(['exec', podOf(started), '-c', 'agent', '--', 'touch', '/tmp/go']);
    // Its commit was pushed with the password.
    expect(await finished(started)).toMatchObject({ status: 'COMPLETED', result: { publication: 'PUSHED' } });
    const events = JSON.stringify(await eventsOf(started));
    expect(events).toMatch(/No such file or directory\\n0\\nlooked at [1-9]/);
    expect(events).not.toContain('the folder is there');
    expect(events).not.toContain(PASSWORD);
  });

  test('a cancelled build is dead, and its pod with it', async () => {
    const build = await startWaiting();
    await cancelBuild(opened.stack.orchestrator, { id: build.id, reason: 'test' }, 'test');
    expect((await finished(build)).status).toBe('CANCELLED');
    await noPodIsLeft(build);
  });

  test('a pod that is deleted costs an attempt, and the build begins anew; twice is too often', async () => {
    const build = await startWaiting();
    const uid = async () =>
      (await cluster.kubectl(['get', 'pod', podOf(build), '-o', 'jsonpath={.metadata.uid}'])).trim();
    const first = await uid();
    await cluster.kubectl(['delete', 'pod', podOf(build), '--wait=false']);
    await waitFor(async () => ![first, ''].includes(await uid().catch(() => '')), {
      deadlineMs: DEADLINE_MS,
      what: 'the second pod',
    });
    expect((await eventsOf(build)).map(({ type }) => type)).toContain('RETRY_SCHEDULED');
    await cluster.kubectl(['delete', 'pod', podOf(build), '--wait=false']);
    expect(await finished(build)).toMatchObject({ status: 'FAILED', failure: { reason: 'WORKER_LOST' } });
    await noPodIsLeft(build);
  });

  test('a build that needs more memory than it has says so', async () => {
    const greedy = 'head -c 1500000000 /dev/zero | tail -c 1400000000 | wc -c; kill -9 $PPID';
    const build = await run(script({ run: greedy }));
    expect(build).toMatchObject({ status: 'FAILED', failure: { reason: 'OUT_OF_MEMORY' } });
    await noPodIsLeft(build);
  });
});
