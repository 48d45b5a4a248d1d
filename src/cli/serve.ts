import { readConfig } from '../config/config.ts';
import { createLogger } from '../telemetry/logger.ts';
import type { ExitCode } from './exit-code.ts';
import type { Io } from './io.ts';
import { openService } from './open-service.ts';
import { createOutput } from './output.ts';
import { reachMigratedDatabase } from './reach-database.ts';
import { runService } from './run-service.ts';
import { listenForStop } from './stop-signals.ts';

export interface ServiceFlags {
  readonly json?: boolean;
  readonly host?: string;
  readonly port?: string;
  readonly data?: string;
}

/** The API alone. */
export async function serve(io: Io, flags: ServiceFlags): Promise<ExitCode> {
  const config = readConfig(io.environment, { host: flags.host, port: flags.port, dataFolder: flags.data });
  const logger = createLogger(config.logLevel);
  using stop = listenForStop(io);
  const databaseUrl = await reachMigratedDatabase(config);
  await using service = await openService({ config, logger, databaseUrl, api: true, work: false });
  const url = `${service.server?.url}/graphql`;
  const output = createOutput(io, flags);
  if (output.json) output.record({ url });
  else output.line(`The API is on ${url}`);
  return await runService(service, { stop, config, logger });
}
