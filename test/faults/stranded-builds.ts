/** Builds whose agent waits for a file, workers on hosts of their own, and what can be seen of both from outside. */
import type { ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Build, findBuild } from '../../src/builds/build.ts';
import { startBuild } from '../../src/builds/start-build.ts';
import { readEvents } from '../../src/events/read-events.ts';
import { openTestStack, type TestStack } from '../support/orchestrator.ts';
import { script } from '../support/script.ts';
import { waitFor } from '../support/wait-for.ts';
import { startWorkerProcess } from '../support/worker-process.ts';
import { findMarkedProcesses } from './marked-processes.ts';

export interface Scene extends AsyncDisposable {
  readonly stack: TestStack;
  /** What every process of the scene has in its environment. */
  readonly environment: Readonly<Record<string, string>>;
  /** A folder that no other worker has: a host of its own. */
  newHost(): Promise<string>;
  /** Killed with the scene. */
  startWorker(options: {
    readonly databaseUrl?: string;
    readonly dataFolder: string;
    readonly environment?: Readonly<Record<string, string>>;
  }): Promise<ChildProcess>;
  /** Its agent notes that it runs, waits for the gate, and writes a file. */
  startWaiting(): Promise<Build>;
  openGate(): Promise<void>;
  find(build: Build): Promise<Build>;
  /** How often an agent was started for the build. */
  agentStarts(build: Build): Promise<number>;
  /** Pids of all that carries the build's mark. */
  processesOf(build: Build): Promise<number[]>;
  /** The types of its events; throws when their numbers are not 1..N. */
  eventTypes(build: Build): Promise<string[]>;
}

export async function openScene(environment: Readonly<Record<string, string>> = {}): Promise<Scene> {
  await using opened = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'slipway-scene-'));
  opened.defer(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }));
  const common = { SLIPWAY_LOG_LEVEL: 'silent', SLIPWAY_MASTER_KEY: randomBytes(32).toString('base64') };
  const stack = opened.use(await openTestStack({ ...common, ...environment }));
  const builds: Build[] = [];
  const processesOf = async (build: Build) =>
    (await findMarkedProcesses()).filter(({ buildId }) => buildId === build.id).map(({ pid }) => pid);
  opened.defer(async () => {
    for (const build of builds) await stack.orchestrator.runtime.sweep(build.id);
  });
  const gate = join(folder, 'gate');
  const find = async ({ id }: Build) => {
    const build = await findBuild(stack.orchestrator.db, id);
    if (!build) throw new Error('the build is gone');
    return build;
  };
  const resources = opened.move();
  return {
    stack,
    environment: common,
    newHost: () => mkdtemp(join(folder, 'host-')),
    async startWorker({ databaseUrl = stack.databaseUrl, dataFolder, environment: more = {} }) {
      const child = await startWorkerProcess({ databaseUrl, dataFolder }, { ...common, ...more });
      resources.defer(async () => {
        child.kill('SIGKILL');
        if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
      });
      return child;
    },
    async startWaiting() {
      const project = await stack.createProject();
      const starts = join(folder, 'starts');
      const prompt = script(
        { run: `echo $SLIPWAY_BUILD_ID >> ${starts}` },
        { run: `while [ ! -e ${gate} ]; do sleep 0.2; done` },
        { write: { path: 'done.txt', content: 'done\n' } },
      );
      const { build } = await startBuild(stack.orchestrator, { projectId: project.id, spec: { prompt } }, 'test');
      builds.push(build);
      return build;
    },
    openGate: () => writeFile(gate, ''),
    find,
    async agentStarts({ id }) {
      const lines = (await readFile(join(folder, 'starts'), 'utf8').catch(() => '')).split('\n');
      return lines.filter((line) => line === id).length;
    },
    processesOf,
    async eventTypes({ id }) {
      const events = await readEvents(stack.orchestrator.db, { buildId: id, after: 0, limit: 1_000 });
      const wrong = events.find(({ seq }, index) => seq !== index + 1);
      if (wrong) throw new Error(`event ${wrong.seq} is out of order`);
      return events.map(({ type }) => type);
    },
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

/** Resolves when the agent of the build's attempt works. */
export async function untilAgentRuns(scene: Scene, build: Build): Promise<void> {
  await waitFor(async () => (await scene.agentStarts(build)) > 0, { deadlineMs: 20_000, what: 'the agent' });
}
