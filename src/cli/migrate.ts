import { readConfig } from '../config/config.ts';
import { createLogger } from '../telemetry/logger.ts';
import { EXIT, type ExitCode } from './exit-code.ts';
import type { Io } from './io.ts';
import { migrateDatabase } from './migrate-database.ts';
import { createOutput } from './output.ts';
import { reachDatabase } from './reach-database.ts';

export async function migrate(io: Io, flags: { readonly json?: boolean }): Promise<ExitCode> {
  const config = readConfig(io.environment);
  const databaseUrl = await reachDatabase(config);
  const applied = await migrateDatabase(config.databaseDirectUrl ?? databaseUrl, createLogger(config.logLevel));
  const output = createOutput(io, flags);
  if (output.json) output.value({ applied });
  else if (applied.length === 0) output.line('The database is up to date.');
  else for (const name of applied) output.line(`applied ${name}`);
  return EXIT.done;
}
