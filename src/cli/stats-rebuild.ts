import { readConfig } from '../config/config.ts';
import { type Database, openDatabase } from '../database/database.ts';
import { MIGRATION_LIMITS } from '../database/session-settings.ts';
import { areStatsFilled, fillStats } from '../stats/fill-stats.ts';
import { type Rebuild, rebuildStats } from '../stats/rebuild-stats.ts';
import { createLogger } from '../telemetry/logger.ts';
import { CliError, EXIT, type ExitCode } from './exit-code.ts';
import type { Io } from './io.ts';
import { openOwnDatabase } from './open-own-database.ts';
import { createOutput, type Output } from './output.ts';

export interface StatsRebuildFlags {
  readonly check?: boolean;
  readonly data?: string;
  readonly json?: boolean;
}

export async function statsRebuild(io: Io, { check = false, ...flags }: StatsRebuildFlags): Promise<ExitCode> {
  const config = readConfig(io.environment, { dataFolder: flags.data });
  const output = createOutput(io, flags);
  const logger = createLogger(config.logLevel);
  await using opened = new AsyncDisposableStack();
  const url = await openOwnDatabase(opened, config, logger);
  const direct = config.databaseDirectUrl ?? url;
  const db = openDatabase({ url: direct, poolSize: 1, name: 'slipway stats', logger, limits: MIGRATION_LIMITS });
  opened.defer(() => db.destroy());
  if (!(await areStatsFilled(db))) await fill(db, output, check);
  const rebuild = await rebuildStats(db, { apply: !check });
  if (output.json) output.value({ replaced: !check, ...rebuild });
  else tell(output, rebuild, check);
  return check && rebuild.differing > 0 ? EXIT.error : EXIT.done;
}

/** Of the builds of an earlier version; else a running `slipway serve` or `work` does it. */
async function fill(db: Database, output: Output, check: boolean): Promise<void> {
  if (!check) {
    output.note('An earlier version had builds: their figures are counted.');
    if (await fillStats(db)) return;
  }
  throw new CliError('The figures of the builds of an earlier version are not all counted yet.', {
    code: 'STATS_NOT_FILLED',
    hints: ['A running slipway serve or work counts them. Until then statistics are counted by builds.'],
  });
}

function tell(output: Output, { days, differing, differences }: Rebuild, check: boolean): void {
  for (const { bucket, level, scope, projectId, provider, template, stored, counted } of differences) {
    const parts = [scope.startsWith('PROJECT') ? projectId : null, provider || null, template || null];
    const what = parts.filter((part) => part !== null).join(' ');
    const figures = stored === counted ? `${counted} builds, other figures` : `${stored} builds, should be ${counted}`;
    output.line(`${level.toLowerCase()} of ${bucket.toISOString()} ${scope}${what && ` ${what}`}: ${figures}`);
  }
  if (differing > differences.length) output.line(`… and ${differing - differences.length} others`);
  output.line(
    `${days} days: ${differing === 0 ? 'all rollups are as the builds say' : `${differing} rollups differ`}.`,
  );
  if (check && differing > 0) output.note('Run slipway stats rebuild without --check: it replaces them.');
  else if (differing > 0) output.note('They were replaced.');
}
