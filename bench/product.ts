/** Slipway itself in this process, as `slipway serve` composes it, on a database of the bench. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readConfig } from '../src/config/config.ts';
import { type Orchestrator, openOrchestrator } from '../src/orchestrator.ts';
import { createLogger } from '../src/telemetry/logger.ts';

export interface Product extends AsyncDisposable {
  readonly orchestrator: Orchestrator;
}

/** Options are the product's own, but for what an agent would need. `environment` overrides them. */
export async function openProduct(
  databaseUrl: string,
  environment: Readonly<Record<string, string>> = {},
): Promise<Product> {
  await using opened = new AsyncDisposableStack();
  const dataFolder = await mkdtemp(join(tmpdir(), 'slipway-bench-data-'));
  opened.defer(() => rm(dataFolder, { recursive: true, force: true, maxRetries: 5 }));
  const config = readConfig({
    PATH: process.env.PATH,
    SLIPWAY_DATA: dataFolder,
    SLIPWAY_DEFAULT_PROVIDER: 'scripted',
    SLIPWAY_LOG_LEVEL: 'error',
    SLIPWAY_SANDBOX: 'none',
    ...environment,
  });
  const logger = createLogger(config.logLevel);
  const orchestrator = opened.use(await openOrchestrator({ config, logger, databaseUrl, supervise: false }));
  const resources = opened.move();
  return { orchestrator, [Symbol.asyncDispose]: () => resources.disposeAsync() };
}
