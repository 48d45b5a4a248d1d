/** The database of a data folder that nobody uses at the moment. */
import { join } from 'node:path';
import type { Config } from '../config/config.ts';
import { openEmbeddedPostgres } from '../database/embedded-postgres.ts';
import type { Logger } from '../telemetry/logger.ts';
import { takeDataFolder } from './data-folder.ts';
import { reachMigratedDatabase } from './reach-database.ts';

/** Nobody else may work on the folder meanwhile, as nobody else may run its Postgres. Returns its URL. */
export async function openStoppedDatabase(
  opened: AsyncDisposableStack,
  { dataFolder }: Pick<Config, 'dataFolder'>,
  logger: Logger,
): Promise<string> {
  opened.use(await takeDataFolder(dataFolder));
  const folder = join(dataFolder, 'postgres');
  const url = opened.use(await openEmbeddedPostgres({ folder, durable: true, logger })).url;
  return reachMigratedDatabase({ databaseUrl: url, databaseDirectUrl: undefined });
}
