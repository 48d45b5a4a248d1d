import { type Command, Option } from 'commander';
import type { ProjectLimitFlags } from './change-queue.ts';
import { clientFlags, type Run } from './define-commands.ts';
import { integer, type Limit, limit, positiveNumber } from './parse-option.ts';
import type { ClientFlags } from './session.ts';

const MAX = 100_000;

export function defineQueueCommands(program: Command, run: Run): void {
  const queue = program.command('queue').description('what waits, of all projects');
  clientFlags(queue.command('pause'))
    .description('start nothing until `queue resume`; what runs goes on')
    .action((flags: ClientFlags) => run(async (io) => (await import('./change-queue.ts')).queuePause(io, flags)));
  clientFlags(queue.command('resume'))
    .description('start work again')
    .action((flags: ClientFlags) => run(async (io) => (await import('./change-queue.ts')).queueResume(io, flags)));
  clientFlags(queue.command('limit').argument('<number>', 'or none', limit(0, MAX)))
    .description('how many builds and tasks run at the same time in all')
    .action((most: Limit, flags: ClientFlags) =>
      run(async (io) => (await import('./change-queue.ts')).queueLimit(io, most, flags)),
    );
}

/** Of `project`. */
export function defineProjectQueueCommands(project: Command, run: Run): void {
  const PROJECT = 'its slug or id';
  clientFlags(project.command('pause').argument('<project>', PROJECT))
    .description('start nothing of this project until `project resume`; what runs goes on')
    .action((reference: string, flags: ClientFlags) =>
      run(async (io) => (await import('./change-queue.ts')).projectPause(io, reference, flags)),
    );
  clientFlags(project.command('resume').argument('<project>', PROJECT))
    .description('start work of this project again')
    .action((reference: string, flags: ClientFlags) =>
      run(async (io) => (await import('./change-queue.ts')).projectResume(io, reference, flags)),
    );
  clientFlags(project.command('limit').argument('<project>', PROJECT))
    .description('what of this project runs at the same time, and its share of what is free')
    .addOption(new Option('--running <number>', 'at the same time, or none for any number').argParser(limit(0, MAX)))
    .addOption(new Option('--per-key <number>', 'of those with the same concurrency key').argParser(integer(1, MAX)))
    .addOption(
      new Option('--weight <number>', 'its share while others wait: 2 is twice as much as 1').argParser(positiveNumber),
    )
    .option('--key <key>', '--running is the limit of this concurrency key')
    .action((reference: string, flags: ProjectLimitFlags) =>
      run(async (io) => (await import('./change-queue.ts')).projectLimit(io, reference, flags)),
    );
}
