import { type Command, Option } from 'commander';
import { clientFlags, type Run } from './define-commands.ts';
import type { ScheduleFlags } from './find-schedule.ts';
import { duration, integer, pairs, texts } from './parse-option.ts';
import type { ScheduleChangeFlags } from './schedule-change.ts';
import type { ScheduleCreateFlags } from './schedule-create.ts';
import type { ScheduleListFlags } from './schedule-list.ts';
import type { ScheduleNextFlags } from './schedule-next.ts';
import type { ScheduleUpdateFlags } from './schedule-update.ts';

const SCHEDULE = 'the schedule: its id (schedule_…), or its name with --project';
const PROJECT = 'the project: its slug or id';
const CRON = "when: five fields such as '30 6 * * MON-FRI', or @hourly, @daily, @weekly …";

export function defineScheduleCommands(program: Command, run: Run): void {
  const schedule = program.command('schedule').description('builds that are started by the clock');
  defineCreate(schedule, run);
  defineUpdate(schedule, run);

  clientFlags(schedule.command('list'))
    .description('list the schedules of a project')
    .requiredOption('-p, --project <project>', PROJECT)
    .action((flags: ScheduleListFlags) =>
      run(async (io) => (await import('./schedule-list.ts')).scheduleList(io, flags)),
    );

  clientFlags(schedule.command('show').argument('<schedule>', SCHEDULE))
    .description('show a schedule: what it starts and when, and what became of it last')
    .option('-p, --project <project>', PROJECT)
    .action((name: string, flags: ScheduleFlags) =>
      run(async (io) => (await import('./schedule-show.ts')).scheduleShow(io, name, flags)),
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
  const command = clientFlags(create.argument('[prompt]', 'what the agent is to do; - reads it from stdin'))
    .description('start builds of a project by the clock; prints the id of the schedule')
    .requiredOption('-p, --project <project>', PROJECT)
    .requiredOption('--cron <expression>', CRON);
  specFlags(ruleFlags(command, true))
    .addHelpText(
      'after',
      "\nExample: slipway schedule create nightly -p boats --cron '@daily' 'Update the dependencies.'",
    )
    .action((name: string, prompt: string | undefined, flags: ScheduleCreateFlags) =>
      run(async (io) => (await import('./schedule-create.ts')).scheduleCreate(io, { name, prompt }, flags)),
    );
}

function defineUpdate(schedule: Command, run: Run): void {
  const update = schedule.command('update').argument('<schedule>', SCHEDULE);
  const command = clientFlags(update.argument('[prompt]', 'what the agent is to do from now on; - reads it from stdin'))
    .description('change a schedule; what is not said stays')
    .option('-p, --project <project>', PROJECT)
    .option('--name <name>', 'call it that')
    .option('--cron <expression>', CRON);
  specFlags(ruleFlags(command, false))
    .addHelpText('after', "\nExample: slipway schedule update nightly -p boats --cron '@weekly'")
    .action((reference: string, prompt: string | undefined, flags: ScheduleUpdateFlags) =>
      run(async (io) => (await import('./schedule-update.ts')).scheduleUpdate(io, { reference, prompt }, flags)),
    );
}

/** `isNew`: what is not said has a default. */
function ruleFlags(command: Command, isNew: boolean): Command {
  const byDefault = (value: string) => (isNew ? `; by default ${value}` : '');
  const overlap = new Option(
    '--overlap <rule>',
    `while an earlier build of it waits or runs${byDefault('SKIP_IF_RUNNING')}`,
  );
  const catchUp = new Option('--catch-up <rule>', `about times that were missed${byDefault('NONE')}`);
  const within = new Option('--catch-up-within <time>', `how far back: 30m, 24h, 7d${byDefault('24h')}`);
  return command
    .option('--time-zone <zone>', `whose clocks that means, such as Europe/Berlin${byDefault('UTC')}`)
    .addOption(overlap.choices(['SKIP_IF_RUNNING', 'QUEUE', 'CANCEL_RUNNING']))
    .addOption(catchUp.choices(['NONE', 'LATEST', 'ALL']))
    .addOption(within.argParser(duration));
}

function specFlags(command: Command): Command {
  return command
    .option('--prompt-file <file>', 'read the prompt from this file')
    .option('--provider <agent>', "the agent; by default the project's")
    .option('--model <model>', "the agent's model")
    .option('--branch <branch>', 'the branch to build on and push to')
    .option('--template <template>', 'NAME, or NAME@VERSION')
    .option('--var <name=value>', 'a variable of the template; may be repeated', pairs)
    .option('-l, --label <name=value>', 'for filters and statistics; may be repeated', pairs)
    .addOption(new Option('--priority <number>', 'higher goes first').argParser(integer(-100, 100)))
    .option('--concurrency-key <key>', 'builds of the project with the same key run one at a time')
    .option('--runs-on <label>', 'a label that its worker must have, such as gpu; may be repeated', texts)
    .option('--callback-url <url>', 'who is told about the end of its builds, by signed HTTP');
}
