/** Builds in pods, workers that can be killed, and what can be seen of both: for the fault tests on a real cluster. */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { expect } from 'vitest';
import { type Build, findBuild } from '../../src/builds/build.ts';
import { readLog } from '../../src/builds/build-log.ts';
import { cancelBuild } from '../../src/builds/cancel-build.ts';
import { startBuild } from '../../src/builds/start-build.ts';
import type { BuildEvent } from '../../src/events/event.ts';
import { readEvents } from '../../src/events/read-events.ts';
import type { ProjectInput } from '../../src/projects/create-project.ts';
import type { Project } from '../../src/projects/project.ts';
import { toPublicId } from '../../src/std/public-id.ts';
import type { Worker } from '../../src/workers/worker.ts';
import { readRemoteCommits } from '../faults/remote-commits.ts';
import { openTestNamespace, type TestNamespace } from '../support/cluster.ts';
import { clusterEnvironment, openClusterStack } from '../support/cluster-stack.ts';
import type { GitServer } from '../support/git-server.ts';
import type { TestStack } from '../support/orchestrator.ts';
import { script } from '../support/script.ts';
import { waitFor } from '../support/wait-for.ts';
import { startWorkerProcess } from '../support/worker-process.ts';

/** For whatever takes a pod's start and its end. */
export const DEADLINE_MS = 120_000;
/** No pod of a build that is over is older. */
const ORPHAN_MS = 60_000;
const MAX_CHUNKS = 10_000;

export interface FaultRig extends AsyncDisposable {
  readonly cluster: TestNamespace;
  readonly stack: TestStack;
  readonly git: GitServer;
  /** A project with an empty repository of its own. */
  openProject(input?: Partial<ProjectInput>): Promise<Project>;
  start(project: Project, prompt: string, spec?: object): Promise<Build>;
  /** In a process of its own, killed with the rig. */
  startWorker(environment?: Readonly<Record<string, string>>): Promise<ChildProcess>;
  find(build: Build): Promise<Build>;
  finished(build: Build): Promise<Build>;
  /** Asks for its end, which is CANCELLED: not before its pod is gone. */
  cancelled(build: Build): Promise<void>;
  events(build: Build): Promise<BuildEvent[]>;
  /** Resolves when so many events fit; by default one. */
  happened(build: Build, what: string, fits: (event: BuildEvent) => boolean, count?: number): Promise<void>;
  /** Lines of its log, in their order. */
  lines(build: Build): Promise<string[]>;
  /** How many commits of the build its remote has. */
  commits(build: Build): Promise<number>;
  /** Lets the agent of `gated` go on. */
  openGate(build: Build): Promise<void>;
  /** Resolves when nothing runs in the pod any more; it may still be there, about to go. */
  deletePod(build: Build): Promise<void>;
  /** How many pods of this name there were in all. */
  podsMade(build: Build): Promise<number>;
  /** Resolves when no pod is there any more, and no secret but those of accounts; throws when one is there for too long. */
  noPodIsLeft(): Promise<void>;
  /** Resolves when the worker runs nothing; throws when there is a pod of the build at that moment. */
  slotIsFree(worker: Worker, build: Build): Promise<void>;
  /** Runs a case, and prints its line of the table of faults. */
  timed(fault: string, run: () => Promise<string>): Promise<void>;
}

export interface FaultRigOptions {
  /** Another way to the same cluster. */
  readonly kubeconfig?: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** A case with a namespace, a stack and workers of its own: cases run side by side. Gives what `test` takes. */
export function faultCase(
  fault: string,
  run: (rig: FaultRig) => Promise<string>,
  options: FaultRigOptions = {},
): () => Promise<void> {
  return async () => {
    await using rig = await openFaultRig(options);
    await rig.timed(fault, () => run(rig));
  };
}

export async function openFaultRig(options: FaultRigOptions = {}): Promise<FaultRig> {
  await using opened = new AsyncDisposableStack();
  const cluster = opened.use(await openTestNamespace('slipway-faults'));
  const access = { ...cluster, kubeconfig: options.kubeconfig ?? cluster.kubeconfig };
  const environment = { ...clusterEnvironment(access), ...options.env };
  const { stack, git, fromPods } = opened.use(await openClusterStack(access, environment));
  const { orchestrator } = stack;
  const repositories = new Map<string, string>();
  const workers: ChildProcess[] = [];
  opened.defer(async () => void (await Promise.all(workers.map(kill))));
  const events = (build: Build) => readEvents(orchestrator.db, { buildId: build.id, after: 0, limit: 10_000 });
  const pods = async (selector: string) =>
    (await cluster.kubectl(['get', 'pods', '-o', 'name', ...selector.split(' ').filter(Boolean)])).trim();
  const secrets = () =>
    cluster.kubectl(['get', 'secrets', '-o', 'name', '--field-selector=type!=kubernetes.io/service-account-token']);
  const inPod = (build: Build, ...argv: string[]) =>
    cluster.kubectl(['exec', podOf(build), '-c', 'agent', '--', ...argv]);
  const finished = ({ id }: Build) => stack.finished(id, DEADLINE_MS);
  const resources = opened.move();
  return {
    cluster,
    stack,
    git,
    async openProject(input = {}) {
      const { url, path } = await git.createRepository(`project-${repositories.size + 1}`);
      const project = await stack.createProject({ repositoryUrl: fromPods(url), ...input });
      repositories.set(project.id, path);
      return project;
    },
    start: async ({ id: projectId }, prompt, spec = {}) =>
      (await startBuild(orchestrator, { projectId, spec: { prompt, ...spec } }, 'test')).build,
    async startWorker(more = {}) {
      const child = await startWorkerProcess(stack, { ...environment, ...more });
      workers.push(child);
      return child;
    },
    async find({ id }) {
      const build = await findBuild(orchestrator.db, id);
      if (!build) throw new Error('the build is gone');
      return build;
    },
    finished,
    async cancelled(build) {
      await cancelBuild(orchestrator, { id: build.id, reason: 'test' }, 'test');
      expect(await finished(build)).toMatchObject({ status: 'CANCELLED', failure: null });
      expect(await pods(`-l slipway.dev/build=${build.id}`), 'it is cancelled, and the pod is there').toBe('');
    },
    events,
    async happened(build, what, fits, count = 1) {
      const isEnough = async () => (await events(build)).filter(fits).length >= count;
      await waitFor(isEnough, { deadlineMs: DEADLINE_MS, everyMs: 50, what });
    },
    async lines({ id }) {
      const chunks = await readLog(orchestrator.db, { buildId: id, after: 0, limit: MAX_CHUNKS });
      return chunks.flatMap(({ lines }) => lines.map(({ text }) => text));
    },
    async commits({ id, projectId }) {
      const commits = await readRemoteCommits(repositories.get(projectId) ?? '');
      return commits.filter(({ build }) => build === toPublicId('build', id)).length;
    },
    openGate: async (build) => void (await inPod(build, 'touch', '/tmp/go')),
    async deletePod(build) {
      await cluster.kubectl(['delete', 'pod', podOf(build), '--grace-period=1', '--wait=false']);
      const isDead = () =>
        inPod(build, 'true').then(
          () => false,
          () => true,
        );
      await waitFor(isDead, { deadlineMs: DEADLINE_MS, everyMs: 50, what: 'the end of the containers' });
    },
    async podsMade(build) {
      const uids = await cluster.kubectl([
        ...['get', 'events', '-o', 'jsonpath={range .items[*]}{.involvedObject.uid}{"\\n"}{end}'],
        `--field-selector=reason=Scheduled,involvedObject.name=${podOf(build)}`,
      ]);
      return new Set(uids.split('\n').filter(Boolean)).size;
    },
    async noPodIsLeft() {
      let left = '';
      const isEmpty = async () => {
        left = `${await pods('')} ${await secrets()}`.trim();
        return left === '';
      };
      await waitFor(isEmpty, { deadlineMs: ORPHAN_MS, everyMs: 250, what: 'the end of all pods and secrets' }).catch(
        (error) => Promise.reject(new Error(`${error.message} Left: ${left}`)),
      );
    },
    async slotIsFree(worker, { id }) {
      await waitFor(() => worker.running === 0, { deadlineMs: DEADLINE_MS, what: 'the end of the attempt' });
      expect(await pods(`-l slipway.dev/build=${id}`), 'the slot is free, and the pod is there').toBe('');
    },
    async timed(fault, run) {
      const startedAt = performance.now();
      const say = (result: string) =>
        console.log(`fault | ${fault} | ${result} | ${((performance.now() - startedAt) / 1000).toFixed(1)} s`);
      say(
        await run().catch((error: unknown) => {
          say('BROKEN');
          throw error;
        }),
      );
    },
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

export function podOf({ id }: Build): string {
  return `slipway-${id}`;
}

/** Says that it begins, prints `tick N` until the gate is open, and writes a file. */
export function gated(...before: readonly object[]): string {
  const wait = 'i=0; while [ ! -e /tmp/go ]; do i=$((i + 1)); echo "tick $i"; sleep 0.2; done';
  return script({ print: 'begin' }, ...before, { run: wait }, WRITE);
}

/** A file that no other build writes. */
export const WRITE = { run: 'echo done >"$SLIPWAY_BUILD_ID.txt"' };

/** The agent of a build has said this. */
export function says(text: string): (event: BuildEvent) => boolean {
  return ({ type, data }) => type === 'AGENT_ACTIVITY' && data.content.kind === 'message' && data.content.text === text;
}

/** How often an agent has begun with the build. */
export async function agentStarts(rig: FaultRig, build: Build): Promise<number> {
  return (await rig.events(build)).filter(says('begin')).length;
}

/** The numbers of its ticks are 1, 2, 3 …: no line is lost, and none comes twice. */
export async function expectWholeOutput(rig: FaultRig, build: Build): Promise<number> {
  const ticks = (await rig.lines(build)).filter((line) => line.startsWith('tick '));
  expect(ticks).toEqual(ticks.map((_, index) => `tick ${index + 1}`));
  return ticks.length;
}

export async function kill(child: ChildProcess): Promise<void> {
  child.kill('SIGKILL');
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
}

/** Resolves when the process has been stopped, or has ended. */
export async function untilStill({ pid }: ChildProcess): Promise<void> {
  const isStill = async () => {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => ') Z');
    return /\) [TZ]/.test(stat);
  };
  await waitFor(isStill, { deadlineMs: DEADLINE_MS, everyMs: 50, what: 'the failpoint' });
}
