/** The composition root: opens everything by hand, closes it in reverse. */
import { join } from 'node:path';
import { type AgentRegistry, createAgents } from './agents/agents.ts';
import { type FileStore, openFileStore } from './artifacts/file-store.ts';
import { baseEnvironment, type Config } from './config/config.ts';
import { type MasterKey, openMasterKey } from './credentials/master-key.ts';
import { type Database, openDatabase } from './database/database.ts';
import type { BuildEvent } from './events/event.ts';
import { EventHub } from './events/event-hub.ts';
import { sharedEventReader } from './events/read-events.ts';
import { loadTemplates } from './projects/load-templates.ts';
import type { TemplateCatalogue } from './projects/template.ts';
import { openQueue, type Queue } from './queue/queue.ts';
import { openLocalRuntime } from './runtimes/local.ts';
import type { Runtime } from './runtimes/runtime.ts';
import type { Logger } from './telemetry/logger.ts';

/** Rows of one read of a follower. */
const EVENT_PAGE = 200;
const CONTROL_POOL = 2;

export interface Orchestrator extends AsyncDisposable {
  readonly config: Config;
  readonly logger: Logger;
  readonly databaseUrl: string;
  readonly db: Database;
  /** A few connections of their own for heartbeats. */
  readonly controlDb: Database;
  readonly queue: Queue;
  readonly hub: EventHub;
  readonly masterKey: MasterKey;
  readonly templates: TemplateCatalogue;
  readonly agents: AgentRegistry;
  /** The agents' names. */
  readonly providers: readonly string[];
  readonly runtime: Runtime;
  readonly artifacts: FileStore;
  readonly readEventPage: (buildId: string, after: number) => Promise<readonly BuildEvent[]>;
}

export interface OrchestratorOptions {
  readonly config: Config;
  readonly logger: Logger;
  /** Of a migrated database. */
  readonly databaseUrl: string;
  /** Run pg-boss' maintenance here. */
  readonly supervise: boolean;
}

export async function openOrchestrator(options: OrchestratorOptions): Promise<Orchestrator> {
  const { config, logger, databaseUrl } = options;
  await using opened = new AsyncDisposableStack();
  const db = openDatabase({ url: databaseUrl, poolSize: config.databasePool, name: 'slipway', logger });
  opened.defer(() => db.destroy());
  const controlDb = openDatabase({ url: databaseUrl, poolSize: CONTROL_POOL, name: 'slipway control', logger });
  opened.defer(() => controlDb.destroy());
  const queue = opened.use(await openQueue({ db, logger, supervise: options.supervise }));
  const hub = opened.use(new EventHub({ url: databaseUrl, logger }));
  await hub.open();
  const agents = createAgents({
    environment: baseEnvironment(),
    claudePath: config.claudePath,
    anthropicApiKey: config.anthropicApiKey ?? null,
    anthropicBaseUrl: config.anthropicBaseUrl ?? null,
  });
  const templates = [
    ...(await loadTemplates()),
    ...(config.templatesFolder ? await loadTemplates(config.templatesFolder) : []),
  ];
  const orchestrator = {
    config,
    logger,
    databaseUrl,
    db,
    controlDb,
    queue,
    hub,
    masterKey: await openMasterKey({ dataFolder: config.dataFolder, masterKey: config.masterKey ?? null }),
    templates,
    agents,
    providers: [...agents.keys()],
    runtime: openLocalRuntime({ folder: join(config.dataFolder, 'builds') }),
    artifacts: await openFileStore(join(config.dataFolder, 'artifacts')),
    readEventPage: sharedEventReader(db, EVENT_PAGE),
  };
  const resources = opened.move();
  return { ...orchestrator, [Symbol.asyncDispose]: () => resources.disposeAsync() };
}
