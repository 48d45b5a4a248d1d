import type { Command } from 'commander';
import { jsonFlag, type Run } from './define-commands.ts';
import type { StatsRebuildFlags } from './stats-rebuild.ts';

export function defineStatsCommands(program: Command, run: Run): void {
  const stats = program.command('stats').description('what statistics are read from');
  jsonFlag(stats.command('rebuild'))
    .description(
      'compare the figures that are kept by hour, day and month with the builds, and replace what differs; builds go on',
    )
    .option('--check', 'compare only; exit code 1 when something differs')
    .option('--data <folder>', 'the data folder, where there is no SLIPWAY_DATABASE_URL: of a stopped slipway up')
    .action((flags: StatsRebuildFlags) =>
      run(async (io) => (await import('./stats-rebuild.ts')).statsRebuild(io, flags)),
    );
}
