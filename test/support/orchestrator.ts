/** The whole stack in this process, on a database and a data folder of its own. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Build, findBuild, isFinished } from '../../src/builds/build.ts';
import { readConfig } from '../../src/config/config.ts';
import { type Orchestrator, openOrchestrator } from '../../src/orchestrator.ts';
import { createProject, type ProjectInput } from '../../src/projects/create-project.ts';
import type { Project } from '../../src/projects/project.ts';
import { createLogger } from '../../src/telemetry/logger.ts';
import { Worker } from '../../src/workers/worker.ts';
import { openTestDatabase, type TestDatabase } from './database.ts';
import { waitFor } from './wait-for.ts';

export interface TestStack extends AsyncDisposable {
  readonly orchestrator: Orchestrator;
  readonly databaseUrl: string;
  readonly dataFolder: string;
  /** A worker on this stack; closed with it. */
  openWorker(capacity?: number): Promise<Worker>;
  createProject(input?: Partial<ProjectInput>): Promise<Project>;
  /** The build once it is finished. */
  finished(buildId: string, deadlineMs?: number): Promise<Build>;
}

/** `environment` overrides options, by their variables. `openDatabase`: another database than a new one, migrated. */
export async function openTestStack(
  environment: Readonly<Record<string, string>> = {},
  openDatabase: () => Promise<TestDatabase> = openTestDatabase,
): Promise<TestStack> {
  await using opened = new AsyncDisposableStack();
  const database = opened.use(await openDatabase());
  const dataFolder = await mkdtemp(join(tmpdir(), 'slipway-stack-'));
  opened.defer(() => rm(dataFolder, { recursive: true, force: true, maxRetries: 5 }));
  const config = readConfig({
    PATH: process.env.PATH,
    SLIPWAY_DATA: dataFolder,
    SLIPWAY_CALLBACK_ALLOW_PRIVATE: 'true',
    SLIPWAY_LOCAL_REPOSITORIES: 'true',
    SLIPWAY_DEFAULT_PROVIDER: 'scripted',
    SLIPWAY_LOG_LEVEL: 'warn',
    // Scripts of tests leave marks outside of their workspace. Tests of the sandbox ask for it.
    SLIPWAY_SANDBOX: 'none',
    ...environment,
  });
  const logger = createLogger(config.logLevel);
  const orchestrator = opened.use(
    await openOrchestrator({ config, logger, databaseUrl: database.url, supervise: false }),
  );
  let count = 0;
  const resources = opened.move();
  return {
    orchestrator,
    databaseUrl: database.url,
    dataFolder,
    async openWorker(capacity = 2) {
      const worker = new Worker(orchestrator, { name: 'test', capacity });
      resources.use(worker);
      await worker.open();
      return worker;
    },
    createProject(input = {}) {
      count += 1;
      return createProject(orchestrator, { name: `Project ${count}`, ...input }, 'test');
    },
    async finished(buildId, deadlineMs = 20_000) {
      const find = async () => {
        const build = await findBuild(orchestrator.db, buildId);
        return build && isFinished(build.status) ? build : null;
      };
      return waitFor(find, { deadlineMs, what: 'the end of the build' });
    },
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}
