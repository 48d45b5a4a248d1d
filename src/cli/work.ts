import { readConfig } from '../config/config.ts';
import { createLogger } from '../telemetry/logger.ts';
import { ARTIFACTS_ARE_LOST, checkArtifacts, SHARE_ARTIFACTS } from './doctor-artifacts.ts';
import type { ExitCode } from './exit-code.ts';
import type { Io } from './io.ts';
import { openService } from './open-service.ts';
import { createOutput } from './output.ts';
import { reachMigratedDatabase } from './reach-database.ts';
import { requireSandbox, withoutSandbox } from './require-sandbox.ts';
import { runService } from './run-service.ts';
import type { ServiceFlags } from './serve.ts';
import { listenForStop } from './stop-signals.ts';

/** A worker and the delivery of callbacks, without the API. */
export async function work(io: Io, flags: ServiceFlags): Promise<ExitCode> {
  const config = readConfig(io.environment, { dataFolder: flags.data });
  const sandbox = await requireSandbox(config);
  const logger = createLogger(config.logLevel);
  using stop = listenForStop(io);
  const databaseUrl = await reachMigratedDatabase(config);
  await using service = await openService({ config, logger, databaseUrl, sandbox, api: false, work: true });
  if ((await checkArtifacts(config)).length > 0) logger.warn(`${ARTIFACTS_ARE_LOST}. ${SHARE_ARTIFACTS}`);
  const output = createOutput(io, flags);
  if (output.json) {
    const { healthUrl, orchestrator } = service;
    output.record({ capacity: config.workerCapacity, sandbox: orchestrator.runtime.sandbox, healthUrl });
  } else {
    output.line(`Working on up to ${config.workerCapacity} builds at a time.`);
    if (service.healthUrl) output.line(`Health checks and metrics are on ${service.healthUrl}`);
    if (sandbox.kind === 'none') output.note(withoutSandbox(sandbox));
  }
  return await runService(service, { stop, config, logger });
}
