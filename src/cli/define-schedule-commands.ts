import { type Command, Option } from 'commander';
import { clientFlags, type Run } from './define-commands.ts';
import { duration, integer, pairs } from './parse-option.ts';
import type { ScheduleChangeFlags } from './schedule-change.ts';
import type { ScheduleCreateFlags } from './schedule-create.ts';
import type { ScheduleListFlags } from './schedule-list.ts';
import type { ScheduleNextFlags } from './schedule-next.ts';

const SCHEDULE = 'the schedule: its id (schedule_…), or its name with --project';
const PROJECT = 'the project: its slug or id';

export function defineScheduleCommands(program: Command, run: Run): void {
  const schedule = program.command('schedule').description('builds that are started by the clock');
  defineCreate(schedule, run);

  clientFlags(schedule.command('list'))
    .description('list the schedules of a project')
    .requiredOption('-p, --project <project>', PROJECT)
    .action((flags: ScheduleListFlags) =>
      run(async (io) => (await import('./schedule-list.ts')).scheduleList(io, flags)),
    );

  clientFlags(schedule.command('next').argument('<schedule>', SCHEDULE))
    .description('show when a schedule is due next')
    .option('-p, --project <project>', PROJECT)
    .addOption(new Option('-n, --limit <number>', 'how many times').argParser(integer(1, 50)).default(5))
    .action((name: string, flags: ScheduleNextFlags) =>
      run(async (io) => (await import('./schedule-next.ts')).scheduleNext(io, name, flags)),
    );

  clientFlags(schedule.command('pause').argument('<schedule>', SCHEDULE))
    .description('let a schedule start no builds; those that wait or run go on')
    .option('-p, --project <project>', PROJECT)
    .option('--reason <text>', 'why, for those who look at it later')
    .action((name: string, flags: ScheduleChangeFlags) =>
      run(async (io) => (await import('./schedule-change.ts')).schedulePause(io, name, flags)),
    );

  clientFlags(schedule.command('resume').argument('<schedule>', SCHEDULE))
    .description('let a schedule start builds again, from now on')
    .option('-p, --project <project>', PROJECT)
    .action((name: string, flags: ScheduleChangeFlags) =>
      run(async (io) => (await import('./schedule-change.ts')).scheduleResume(io, name, flags)),
    );

  clientFlags(schedule.command('delete').argument('<schedule>', SCHEDULE))
    .description('delete a schedule; its builds stay')
    .option('-p, --project <project>', PROJECT)
    .action((name: string, flags: ScheduleChangeFlags) =>
      run(async (io) => (await import('./schedule-change.ts')).scheduleDelete(io, name, flags)),
    );
}

function defineCreate(schedule: Command, run: Run): void {
  const create = schedule.command('create').argument('<name>', 'what it is called');
  clientFlags(create.argument('[prompt]', 'what the agent is to do; - reads it from stdin'))
    .description('start builds of a project by the clock; prints the id of the schedule')
    .requiredOption('-p, --project <project>', PROJECT)
    .requiredOption(
      '--cron <expression>',
      "when: five fields such as '30 6 * * MON-FRI', or @hourly, @daily, @weekly …",
    )
    .option('--time-zone <zone>', 'whose clocks that means, such as Europe/Berlin; by default UTC')
    .addOption(
      new Option('--overlap <rule>', 'while an earlier build of it waits or runs; by default SKIP_IF_RUNNING').choices([
        'SKIP_IF_RUNNING',
        'QUEUE',
        'CANCEL_RUNNING',
      ]),
    )
    .addOption(
      new Option('--catch-up <rule>', 'about times that were missed; by default NONE').choices([
        'NONE',
        'LATEST',
        'ALL',
      ]),
    )
    .addOption(new Option('--catch-up-within <time>', 'how far back: 30m, 24h, 7d; by default 24h').argParser(duration))
    .option('--prompt-file <file>', 'read the prompt from this file')
    .option('--provider <agent>', "the agent; by default the project's")
    .option('--model <model>', "the agent's model")
    .option('--branch <branch>', 'the branch to build on and push to')
    .option('--template <template>', 'NAME, or NAME@VERSION')
    .option('--var <name=value>', 'a variable of the template; may be repeated', pairs)
    .option('-l, --label <name=value>', 'for filters and statistics; may be repeated', pairs)
    .addOption(new Option('--priority <number>', 'higher goes first').argParser(integer(-100, 100)))
    .option('--callback-url <url>', 'who is told about the end of its builds, by signed HTTP')
    .addHelpText(
      'after',
      "\nExample: slipway schedule create nightly -p boats --cron '@daily' 'Update the dependencies.'",
    )
    .action((name: string, prompt: string | undefined, flags: ScheduleCreateFlags) =>
      run(async (io) => (await import('./schedule-create.ts')).scheduleCreate(io, { name, prompt }, flags)),
    );
}
