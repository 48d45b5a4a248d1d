/** The composition root: opens everything by hand, closes it in reverse. */
import { join } from 'node:path';
import type { Agent } from './agents/agent.ts';
import { type AgentRegistry, createAgents } from './agents/agents.ts';
import { type FileStore, openFileStore } from './artifacts/file-store.ts';
import { Acceptor } from './builds/acceptor.ts';
import { LEASE_SECONDS } from './builds/lease.ts';
import { LedgerWriter } from './builds/ledger-writer.ts';
import { PlaceOffers } from './builds/place-offers.ts';
import { agentOptions } from './config/agent-options.ts';
import { type Config, ConfigError } from './config/config.ts';
import { kubernetesOptions } from './config/kubernetes-runtime.ts';
import { type Keyring, openKeyring } from './credentials/keyring.ts';
import { type Database, type DatabaseOptions, openDatabase } from './database/database.ts';
import { readInstallation } from './database/installation.ts';
import { CONTROL_LIMITS } from './database/session-settings.ts';
import type { BuildEvent } from './events/event.ts';
import { EventHub } from './events/event-hub.ts';
import { readEvents } from './events/read-events.ts';
import { loadTemplates } from './projects/load-templates.ts';
import { ProjectCache } from './projects/project-cache.ts';
import type { TemplateCatalogue } from './projects/template.ts';
import { recordProviderKeys } from './queue/provider-keys.ts';
import { openQueue, type Queue } from './queue/queue.ts';
import { openLocalRuntime } from './runtimes/local.ts';
import type { Runtime } from './runtimes/runtime.ts';
import { findSandbox, type Sandbox } from './runtimes/sandbox.ts';
import type { SandboxOptions } from './runtimes/sandbox-command.ts';
import { ANALYST_LIMITS, ANALYSTS_POOL } from './stats/analysts.ts';
import { type QueueWatch, queueWatch } from './stats/queue-watch.ts';
import { armFailpoints } from './std/failpoint.ts';
import { TaskDesk } from './tasks/task-desk.ts';
import type { Logger } from './telemetry/logger.ts';
import { openTelemetry, type Telemetry } from './telemetry/telemetry.ts';
import { WorkerWatch } from './workers/worker-watch.ts';

/** Rows of one read of a follower. */
export const EVENT_PAGE = 200;
const CONTROL_POOL = 2;

export interface Orchestrator extends AsyncDisposable {
  readonly config: Config;
  readonly logger: Logger;
  readonly telemetry: Telemetry;
  readonly databaseUrl: string;
  readonly db: Database;
  /** A few connections of their own for heartbeats. */
  readonly controlDb: Database;
  /** Others for statistics. */
  readonly statsDb: Database;
  readonly queue: Queue;
  readonly hub: EventHub;
  /** Places of workers in this process. */
  readonly places: PlaceOffers;
  /** What running builds write. */
  readonly ledgerWriter: LedgerWriter;
  /** Where tasks are claimed. */
  readonly desk: TaskDesk;
  readonly keyring: Keyring;
  readonly projects: ProjectCache;
  /** Where builds come into being. */
  readonly acceptor: Acceptor;
  readonly templates: TemplateCatalogue;
  readonly agents: AgentRegistry;
  /** The agents' names. */
  readonly providers: readonly string[];
  /** The variables in which agents take their keys. */
  readonly modelVariables: readonly string[];
  readonly runtime: Runtime;
  readonly sandbox: Sandbox;
  readonly artifacts: FileStore;
  readonly watchQueue: QueueWatch;
  readonly workerWatch: WorkerWatch;
  readonly readEventPage: (buildId: string, after: number) => Promise<readonly BuildEvent[]>;
}

export interface OrchestratorOptions {
  readonly config: Config;
  readonly logger: Logger;
  /** Of a migrated database. */
  readonly databaseUrl: string;
  /** Run pg-boss' maintenance here. */
  readonly supervise: boolean;
  /** By default they do: who runs none needs no rights in a cluster. */
  readonly runsBuilds?: boolean;
  /** By default what the configuration says is looked for. */
  readonly sandbox?: Sandbox | undefined;
}

export async function openOrchestrator(options: OrchestratorOptions): Promise<Orchestrator> {
  const { config, logger, databaseUrl } = options;
  if (config.failpoints.length > 0) {
    armFailpoints(config.failpoints);
    logger.warn({ failpoints: config.failpoints }, 'SLIPWAY_FAILPOINTS is set: this process will be made to fail');
  }
  await using opened = new AsyncDisposableStack();
  const telemetry = opened.use(await openTelemetry(config, logger));
  const directUrl = config.databaseDirectUrl ?? databaseUrl;
  const { db, controlDb, statsDb } = openPools(opened, { config, logger, databaseUrl, directUrl });
  const queue = opened.use(await openQueue({ db, logger, supervise: options.supervise }));
  const hub = opened.use(new EventHub({ url: directUrl, db, logger }));
  await hub.open();
  const desk = opened.use(new TaskDesk({ db, queue, hub, logger, telemetry }));
  const agents = openAgents(config);
  checkDefaultProvider(config, [...agents.keys()]);
  const keys = [...agents.values()].flatMap(({ name, modelKey }) =>
    modelKey ? [{ provider: name, variable: modelKey.variable }] : [],
  );
  await recordProviderKeys(db, keys);
  const templates = [
    ...(await loadTemplates()),
    ...(config.templatesFolder ? await loadTemplates(config.templatesFolder) : []),
  ];
  const { masterKey = null, previousMasterKeys, dataFolder } = config;
  const keyring = await openKeyring(db, { masterKey, previousMasterKeys, dataFolder });
  const sandbox = options.sandbox ?? (await findSandbox(config.sandbox));
  const places = new PlaceOffers();
  const orchestrator = {
    config,
    logger,
    telemetry,
    databaseUrl,
    db,
    controlDb,
    statsDb,
    queue,
    hub,
    places,
    ledgerWriter: opened.use(new LedgerWriter({ db, hub, queue, telemetry, places })),
    desk,
    keyring,
    projects: opened.use(new ProjectCache(db)),
    acceptor: opened.use(new Acceptor({ config, db, hub, queue, telemetry, places })),
    templates,
    agents,
    providers: [...agents.keys()],
    modelVariables: [...new Set([...agents.values()].flatMap(({ modelKey }) => modelKey?.variable ?? []))],
    sandbox,
    runtime: await openRuntime(opened, {
      config,
      logger,
      sandbox,
      instance: () => readInstallation(db),
      runsBuilds: options.runsBuilds ?? true,
    }),
    artifacts: await openFileStore(join(config.dataFolder, 'artifacts')),
    watchQueue: queueWatch({ db, hub, workerTimeoutSeconds: LEASE_SECONDS }),
    workerWatch: new WorkerWatch({
      db,
      hub,
      onError: (error) => logger.warn({ error: String(error) }, 'the workers will be looked at again'),
    }),
    readEventPage: (buildId: string, after: number) => readEvents(db, { buildId, after, limit: EVENT_PAGE }),
  };
  const resources = opened.move();
  return { ...orchestrator, [Symbol.asyncDispose]: () => resources.disposeAsync() };
}

function openPools(
  opened: AsyncDisposableStack,
  options: Pick<OrchestratorOptions, 'config' | 'logger' | 'databaseUrl'> & { readonly directUrl: string },
): Pick<Orchestrator, 'db' | 'controlDb' | 'statsDb'> {
  const { config, logger, databaseUrl, directUrl } = options;
  const open = (pool: Omit<DatabaseOptions, 'logger'>) => {
    const db = openDatabase({ ...pool, logger });
    opened.defer(() => db.destroy());
    return db;
  };
  const throughPooler = directUrl !== databaseUrl;
  const control = { url: directUrl, poolSize: CONTROL_POOL, name: 'slipway control', limits: CONTROL_LIMITS };
  const stats = { url: directUrl, poolSize: ANALYSTS_POOL, name: 'slipway stats', limits: ANALYST_LIMITS };
  return {
    db: open({ url: databaseUrl, poolSize: config.databasePool, name: 'slipway', throughPooler }),
    controlDb: open(control),
    statsDb: open(stats),
  };
}

/** What an image has is known when a build runs in it. */
const inImage: Agent['probe'] = async () => ({ available: true, version: 'of the image' });

export function openAgents(config: Config): AgentRegistry {
  const agents = createAgents(agentOptions(config));
  if (config.runtime === 'local') return agents;
  return new Map([...agents].map(([name, agent]) => [name, { ...agent, probe: inImage }]));
}

function checkDefaultProvider({ defaultProvider }: Config, known: readonly string[]): void {
  if (defaultProvider === undefined || known.includes(defaultProvider)) return;
  const message = `There is no provider ${defaultProvider}. Known: ${known.join(', ')}.`;
  throw new ConfigError(`The configuration is not valid.\nSLIPWAY_DEFAULT_PROVIDER: ${message}`);
}

/** `instance`: to which installation its pods belong, where no option says it. */
export async function openRuntime(
  opened: AsyncDisposableStack,
  options: Pick<Orchestrator, 'config' | 'logger' | 'sandbox'> & {
    readonly instance: () => Promise<string>;
    readonly runsBuilds?: boolean;
  },
): Promise<Runtime> {
  const { config, logger, sandbox, runsBuilds = true } = options;
  if (config.runtime === 'local' || !runsBuilds) {
    return openLocalRuntime({ folder: join(config.dataFolder, 'builds'), sandbox: sandboxOptions(config, sandbox) });
  }
  const { openKubernetesRuntime } = await import('./runtimes/kubernetes/kubernetes.ts');
  const { KubeError } = await import('./runtimes/kubernetes/kube-error.ts');
  const onError = (error: unknown) => logger.warn({ error: String(error) }, 'Kubernetes will be asked again');
  try {
    const instance = config.kubernetesInstance ?? (await options.instance());
    return opened.use(await openKubernetesRuntime({ ...kubernetesOptions(config), instance, onError }));
  } catch (error) {
    if (!(error instanceof KubeError) || error.reason !== 'NotConfigured') throw error;
    throw new ConfigError(`The configuration is not valid.\n${error.message}`);
  }
}

function sandboxOptions({ sandboxPaths, dataFolder }: Config, sandbox: Sandbox): SandboxOptions | null {
  if (sandbox.kind !== 'bubblewrap') return null;
  return { bubblewrap: sandbox, readable: sandboxPaths, hidden: dataFolder };
}
