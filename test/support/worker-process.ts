/**
 * A worker in a process of its own, to be killed: `startWorkerProcess` runs this very file. It prints `working` once
 * it claims.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { flushCompileCache } from 'node:module';
import { fileURLToPath } from 'node:url';
import { readConfig } from '../../src/config/config.ts';
import { openOrchestrator } from '../../src/orchestrator.ts';
import { letBatchesDieYoung } from '../../src/std/tune-heap.ts';
import { createLogger } from '../../src/telemetry/logger.ts';
import { Worker } from '../../src/workers/worker.ts';
import type { TestStack } from './orchestrator.ts';
import { waitFor } from './wait-for.ts';

/** Hundreds of workers are started and killed: what Node has compiled for one, and `slipway` for itself, starts the next. */
const COMPILED = fileURLToPath(new URL('../../node_modules/.cache/slipway', import.meta.url));

/** `environment` overrides options, by their variables. */
export async function startWorkerProcess(
  stack: Pick<TestStack, 'databaseUrl' | 'dataFolder'>,
  environment: Readonly<Record<string, string>> = {},
): Promise<ChildProcess> {
  const child = spawn(process.execPath, [fileURLToPath(import.meta.url)], {
    env: {
      PATH: process.env.PATH,
      NODE_COMPILE_CACHE: COMPILED,
      SLIPWAY_DATA: stack.dataFolder,
      SLIPWAY_DATABASE_URL: stack.databaseUrl,
      SLIPWAY_CALLBACK_ALLOW_PRIVATE: 'true',
      SLIPWAY_LOCAL_REPOSITORIES: 'true',
      SLIPWAY_LOG_LEVEL: 'warn',
      SLIPWAY_SANDBOX: 'none',
      ...environment,
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let printed = '';
  child.stdout?.on('data', (chunk) => {
    printed += chunk;
  });
  const isWorking = () => printed.includes('working') || child.exitCode !== null;
  await waitFor(isWorking, { deadlineMs: 40_000, what: 'the worker process' }).catch((error: unknown) => {
    child.kill('SIGKILL');
    throw error;
  });
  if (!printed.includes('working')) throw new Error(`the worker process ended with ${child.exitCode}`);
  return child;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  letBatchesDieYoung();
  const config = readConfig();
  const logger = createLogger(config.logLevel);
  const databaseUrl = config.databaseUrl ?? '';
  const orchestrator = await openOrchestrator({ config, logger, databaseUrl, supervise: false });
  const worker = new Worker(orchestrator, { name: 'doomed', capacity: 4 });
  await worker.open();
  // Who is killed writes nothing when it ends.
  flushCompileCache();
  process.stdout.write('working\n');
  process.once('SIGTERM', async () => {
    await worker[Symbol.asyncDispose]();
    await orchestrator[Symbol.asyncDispose]();
  });
}
