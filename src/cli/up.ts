import { join } from 'node:path';
import { type Config, readConfig } from '../config/config.ts';
import { openEmbeddedPostgres } from '../database/embedded-postgres.ts';
import { createLogger, type Logger } from '../telemetry/logger.ts';
import { takeDataFolder } from './data-folder.ts';
import type { ExitCode } from './exit-code.ts';
import { makeFirstToken } from './first-token.ts';
import type { Io } from './io.ts';
import { migrateDatabase } from './migrate-database.ts';
import { openService } from './open-service.ts';
import { createOutput } from './output.ts';
import { reachDatabase } from './reach-database.ts';
import { refuseOpenHouse, requireSandbox } from './require-sandbox.ts';
import { runService } from './run-service.ts';
import type { ServiceFlags } from './serve.ts';
import { listenForStop } from './stop-signals.ts';
import { welcome } from './welcome.ts';

export interface UpFlags extends ServiceFlags {
  readonly newToken?: boolean;
}

/** Everything in one process, on a Postgres of its own. */
export async function up(io: Io, flags: UpFlags): Promise<ExitCode> {
  const config = localConfig(
    readConfig(io.environment, { host: flags.host, port: flags.port, dataFolder: flags.data }),
  );
  const sandbox = await requireSandbox(config);
  refuseOpenHouse(config, sandbox);
  const logger = createLogger(config.logLevel);
  using stop = listenForStop(io);
  await using opened = new AsyncDisposableStack();
  opened.use(await takeDataFolder(config.dataFolder));
  const databaseUrl = config.databaseUrl ? await reachDatabase(config) : await openPostgres(opened, config, logger);
  await migrateDatabase(config.databaseDirectUrl ?? databaseUrl, logger);
  const service = opened.use(await openService({ config, logger, databaseUrl, sandbox, api: true, work: true }));
  const token = await makeFirstToken(service.orchestrator.db, {
    dataFolder: config.dataFolder,
    anew: flags.newToken ?? false,
  });
  const output = createOutput(io, flags);
  const url = `${service.server?.url}/graphql`;
  if (output.json) output.record({ url, token, dataFolder: config.dataFolder });
  else welcome(output, { url, token, config, sandbox });
  return await runService(service, { stop, config, logger });
}

/** On one's own machine everything is open that helps, unless the configuration says no. */
function localConfig(config: Config): Config {
  return {
    ...config,
    introspection: config.introspection ?? true,
    graphiql: config.graphiql ?? true,
    localRepositories: config.localRepositories ?? config.runtime === 'local',
  };
}

async function openPostgres(opened: AsyncDisposableStack, { dataFolder }: Config, logger: Logger): Promise<string> {
  const folder = join(dataFolder, 'postgres');
  return opened.use(await openEmbeddedPostgres({ folder, durable: true, logger })).url;
}
