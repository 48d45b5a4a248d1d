/**
 * Runs the model against the SQL of the source tree that this file lies in, and prints one line of JSON: what was run,
 * and the shortest counterexample if there is one. A process of its own, so that a changed copy of the source can be
 * tried in the same way.
 *
 *   node main.ts DATABASE_URL RUNS SEED
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { readConfig } from '../../../src/config/config.ts';
import { openDatabase } from '../../../src/database/database.ts';
import { migrate } from '../../../src/database/migrate.ts';
import { type Orchestrator, openOrchestrator } from '../../../src/orchestrator.ts';
import { migrateQueue } from '../../../src/queue/queue.ts';
import { createLogger } from '../../../src/telemetry/logger.ts';
import { COMMANDS, WORKERS } from './commands.ts';
import { checkPromises, comeToRest } from './promises.ts';
import { Model } from './reference-model.ts';
import { World } from './world.ts';

const COMMANDS_PER_RUN = 60;
const logger = createLogger('error');

async function main([url = '', runs = '100', seed = '1']: readonly string[]): Promise<void> {
  const db = openDatabase({ url, poolSize: 2, name: 'slipway model', logger });
  await migrate(db);
  await migrateQueue({ db, logger });
  await db.destroy();
  const folder = await mkdtemp(join(tmpdir(), 'slipway-model-'));
  try {
    const config = readConfig({
      PATH: process.env.PATH,
      SLIPWAY_DATA: folder,
      SLIPWAY_CALLBACK_ALLOW_PRIVATE: 'true',
      SLIPWAY_DEFAULT_PROVIDER: 'scripted',
      SLIPWAY_LOG_LEVEL: 'error',
    });
    await using orchestrator = await openOrchestrator({ config, logger, databaseUrl: url, supervise: false });
    process.stdout.write(`${JSON.stringify(await check(orchestrator, Number(runs), Number(seed)))}\n`);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function check(orchestrator: Orchestrator, numRuns: number, seed: number) {
  let commands = 0;
  let builds = 0;
  const property = fc.asyncProperty(
    fc.commands(COMMANDS, { maxCommands: COMMANDS_PER_RUN, size: 'max' }),
    async (sequence) => {
      const model = new Model();
      const world = new World(orchestrator);
      await world.open(WORKERS);
      await fc.asyncModelRun(() => ({ model, real: world }), sequence);
      await comeToRest(model, world);
      await checkPromises(model, world);
      commands += String(sequence).split(',').length;
      builds += model.builds.length;
    },
  );
  const details = await fc.check(property, { numRuns, seed, endOnFailure: true });
  const error = details.errorInstance instanceof Error ? details.errorInstance.message : null;
  const { failed, counterexample } = details;
  return { failed, runs: details.numRuns, commands, builds, error, counterexample: String(counterexample ?? '') };
}

await main(process.argv.slice(2));
