import { type Command, Option } from 'commander';
import { clientFlags, type Run } from './define-commands.ts';
import { integer } from './parse-option.ts';
import type { QueueFlags } from './queue.ts';

export function defineQueueCommands(program: Command, run: Run): void {
  clientFlags(program.command('queue'))
    .description('say how the queue is doing: what waits and why, what runs, and how fast it goes')
    .option('-p, --project <project>', 'only of this project: its slug or id')
    .option('-w, --watch', 'go on: a line whenever something has changed, until Ctrl-C')
    .addOption(
      new Option('-n, --limit <number>', 'how many projects and agents').argParser(integer(1, 100)).default(10),
    )
    .action((flags: QueueFlags) => run(async (io) => (await import('./queue.ts')).queue(io, flags)));
}
