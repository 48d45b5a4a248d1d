/** For commands that work on the database itself, also while nothing runs. */
import { join } from 'node:path';
import type { Config } from '../config/config.ts';
import { openEmbeddedPostgres } from '../database/embedded-postgres.ts';
import type { Logger } from '../telemetry/logger.ts';
import { takeDataFolder } from './data-folder.ts';
import { reachMigratedDatabase } from './reach-database.ts';

/** The configured database, or that of a data folder that nobody uses. Returns its URL; it has every migration. Throws CliError. */
export function openOwnDatabase(opened: AsyncDisposableStack, config: Config, logger: Logger): Promise<string> {
  return config.databaseUrl ? reachMigratedDatabase(config) : openStoppedDatabase(opened, config, logger);
}

/** Nobody else may work on the folder meanwhile, as nobody else may run its Postgres. */
async function openStoppedDatabase(
  opened: AsyncDisposableStack,
  { dataFolder }: Pick<Config, 'dataFolder'>,
  logger: Logger,
): Promise<string> {
  opened.use(await takeDataFolder(dataFolder));
  const folder = join(dataFolder, 'postgres');
  const url = opened.use(await openEmbeddedPostgres({ folder, durable: true, logger })).url;
  return reachMigratedDatabase({ databaseUrl: url, databaseDirectUrl: undefined });
}
