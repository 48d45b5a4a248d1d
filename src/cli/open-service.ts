/** The parts of a running Slipway, opened in order and closed in reverse. */
import { CallbackDelivery } from '../callbacks/deliver-callbacks.ts';
import type { Config } from '../config/config.ts';
import { DeafError } from '../events/event-hub.ts';
import { type Orchestrator, openOrchestrator } from '../orchestrator.ts';
import type { Sandbox } from '../runtimes/sandbox.ts';
import { Scheduler } from '../schedules/scheduler.ts';
import type { OpenServer } from '../server/http-server.ts';
import type { HealthServer } from '../server/probe-server.ts';
import { StatsKeeper } from '../stats/stats-keeper.ts';
import { TaskKeeper } from '../tasks/task-keeper.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { DrainMode } from '../workers/drain-mode.ts';
import type { Dismissal } from '../workers/orders.ts';
import { Worker } from '../workers/worker.ts';
import { CliError } from './exit-code.ts';
import { explainPort } from './explain-port.ts';

export interface ServiceOptions {
  readonly config: Config;
  readonly logger: Logger;
  /** Of a migrated database. */
  readonly databaseUrl: string;
  /** Serve the API. */
  readonly api: boolean;
  /** Run builds and deliver callbacks. */
  readonly work: boolean;
  /** Of the builds that are run; by default what the configuration says is looked for. */
  readonly sandbox?: Sandbox;
}

export interface Service extends AsyncDisposable {
  readonly orchestrator: Orchestrator;
  /** Null without `api`. */
  readonly server: OpenServer | null;
  /** Where health checks and metrics are, without a slash at the end; null with `api`, which has them, and where none is wanted. */
  readonly healthUrl: string | null;
  /**
   * Lets running builds go on for `graceMs`; a second call with a shorter time shortens the first. From now on the API
   * says that it is not ready.
   */
  drain(graceMs: number, mode?: DrainMode): Promise<void>;
  /** Resolves when an administrator has ended the worker of this process and it is closed; never without one. */
  readonly dismissed: Promise<Dismissal>;
}

/** Throws CliError when the port is taken or may not be opened, and when notifications of the database do not arrive. */
export async function openService(options: ServiceOptions): Promise<Service> {
  const { config, logger, databaseUrl, api, work } = options;
  await using opened = new AsyncDisposableStack();
  const orchestrator = opened.use(
    await openOrchestrator({
      config,
      logger,
      databaseUrl,
      supervise: work,
      runsBuilds: work,
      sandbox: options.sandbox,
    }).catch(explainDeafness),
  );
  opened.use(new TaskKeeper(orchestrator)).open();
  opened.use(new StatsKeeper({ ...orchestrator, directUrl: config.databaseDirectUrl ?? databaseUrl })).open();
  const draining = new AbortController();
  // Before the worker, so that progress can be watched until the last build is drained.
  const server = api ? opened.use(await openApi(orchestrator, draining.signal)) : null;
  const health = api ? null : await openHealth(orchestrator, draining.signal);
  if (health) opened.use(health);
  const worker = work ? await openWork(opened, orchestrator) : null;
  opened.use(new Scheduler(orchestrator)).open();
  const resources = opened.move();
  return {
    orchestrator,
    server,
    healthUrl: health?.url ?? null,
    async drain(graceMs, mode) {
      draining.abort();
      await worker?.drain(graceMs, mode);
    },
    dismissed: worker ? closeDismissed(worker) : new Promise(() => {}),
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

function explainDeafness(error: unknown): never {
  if (!(error instanceof DeafError)) throw error;
  throw new CliError('The database takes LISTEN, and its notifications do not arrive.', {
    code: 'DATABASE_DEAF',
    hints: [
      'SLIPWAY_DATABASE_URL seems to lead to a pooler, such as PgBouncer in transaction mode.',
      'Set SLIPWAY_DATABASE_DIRECT_URL to the same database without it: it is used for LISTEN, heartbeats and migrations.',
    ],
  });
}

async function closeDismissed(worker: Worker): Promise<Dismissal> {
  const dismissal = await worker.dismissed;
  await worker[Symbol.asyncDispose]();
  return dismissal;
}

async function openWork(opened: AsyncDisposableStack, orchestrator: Orchestrator): Promise<Worker> {
  const { config } = orchestrator;
  const delivery = opened.use(new CallbackDelivery(orchestrator));
  delivery.open();
  const { workerName: name, workerCapacity: capacity, workerLabels: labels, workerTasks: tasks } = config;
  const worker = opened.use(new Worker(orchestrator, { name, capacity, labels, tasks }));
  await worker.open();
  return worker;
}

async function openApi(orchestrator: Orchestrator, draining: AbortSignal): Promise<OpenServer> {
  const { host, port } = orchestrator.config;
  // A worker starts without them in half the time.
  const { openServer } = await import('../server/http-server.ts');
  const { schema } = await import('../../schema/index.ts');
  return openServer({ orchestrator, schema, host, port, draining }).catch((error: unknown) =>
    explainPort(error, { host, port, option: 'SLIPWAY_PORT' }),
  );
}

/** Null where no port is given. */
async function openHealth(orchestrator: Orchestrator, draining: AbortSignal): Promise<HealthServer | null> {
  const { host, workerPort: port } = orchestrator.config;
  if (port === undefined) return null;
  const { openHealthServer } = await import('../server/health-server.ts');
  return openHealthServer({ orchestrator, host, port, draining }).catch((error: unknown) =>
    explainPort(error, { host, port, option: 'SLIPWAY_WORKER_PORT' }),
  );
}
