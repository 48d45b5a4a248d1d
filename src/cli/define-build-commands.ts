import { type Command, Option } from 'commander';
import type { BuildCancelFlags } from './build-cancel.ts';
import type { BuildCancelManyFlags } from './build-cancel-many.ts';
import type { BuildListFlags } from './build-list.ts';
import type { BuildLogsFlags } from './build-logs.ts';
import type { BuildRetryFlags } from './build-retry.ts';
import type { BuildRetryManyFlags } from './build-retry-many.ts';
import type { BuildStartFlags } from './build-start.ts';
import type { BuildWatchFlags } from './build-watch.ts';
import { BUILD_ARGUMENT, clientFlags, limitOption, type Run } from './define-commands.ts';
import { defineTalkCommands } from './define-talk-commands.ts';
import { duration, integer, moment, network, pairs, positiveNumber, supersede, texts } from './parse-option.ts';
import type { ClientFlags } from './session.ts';

const STATUSES = ['PENDING', 'RUNNING', 'COMPLETED', 'FAILED', 'CANCELLED'];
const DAY = 86_400;

export function defineBuildCommands(program: Command, run: Run): void {
  const build = program.command('build').description('start builds and see what becomes of them');
  defineStart(build, run);

  watchFlags(clientFlags(build.command('watch').argument('<build>', BUILD_ARGUMENT)))
    .description('show the progress of a build until its end; the exit code says how it ended')
    .addOption(cursor('only events after this one'))
    .action((id: string, flags: BuildWatchFlags) =>
      run(async (io) => (await import('./build-watch.ts')).buildWatch(io, id, flags)),
    );

  clientFlags(build.command('logs').argument('<build>', BUILD_ARGUMENT))
    .description('print the output of a build')
    .option('-f, --follow', 'go on until the build ends')
    .addOption(cursor('only lines after this one'))
    .action((id: string, flags: BuildLogsFlags) =>
      run(async (io) => (await import('./build-logs.ts')).buildLogs(io, id, flags)),
    );

  filterFlags(clientFlags(build.command('list')))
    .description('list builds, newest first')
    .addOption(limitOption())
    .action((flags: BuildListFlags) => run(async (io) => (await import('./build-list.ts')).buildList(io, flags)));

  clientFlags(build.command('show').argument('<build>', BUILD_ARGUMENT))
    .description('show a build and its result')
    .action((id: string, flags: ClientFlags) =>
      run(async (io) => (await import('./build-show.ts')).buildShow(io, id, flags)),
    );

  clientFlags(build.command('cancel').argument('<build>', BUILD_ARGUMENT))
    .description('end a build; it is CANCELLED when all of its processes are gone')
    .option('--reason <text>', 'why, for those who look at it later')
    .action((id: string, flags: BuildCancelFlags) =>
      run(async (io) => (await import('./build-cancel.ts')).buildCancel(io, id, flags)),
    );

  clientFlags(
    build
      .command('priority')
      .argument('<build>', BUILD_ARGUMENT)
      .argument(
        '<number>',
        '-100 to 100: higher goes first, each point is worth a minute of waiting',
        integer(-100, 100),
      ),
  )
    .description('let a build that waits go before others, or behind them; -- before a negative number')
    .action((id: string, priority: number, flags: ClientFlags) =>
      run(async (io) => (await import('./build-priority.ts')).buildPriority(io, id, priority, flags)),
    );

  watchFlags(clientFlags(build.command('retry').argument('<build>', BUILD_ARGUMENT)))
    .description('start a build again, as a new build; prints its id')
    .option('--resume-session', "go on with the agent's session instead of a new one")
    .option('--idempotency-key <key>', 'with the same key the same build is given, however often this is repeated')
    .option('-w, --watch', 'show its progress until its end')
    .action((id: string, flags: BuildRetryFlags) =>
      run(async (io) => (await import('./build-retry.ts')).buildRetry(io, id, flags)),
    );

  clientFlags(build.command('redeliver').argument('<build>', BUILD_ARGUMENT))
    .description('send the callback of a build again that has ended, whatever became of it')
    .action((id: string, flags: ClientFlags) =>
      run(async (io) => (await import('./redeliver.ts')).buildRedeliver(io, id, flags)),
    );

  defineBulkCommands(build, run);
  defineTalkCommands(build, run);
}

function defineBulkCommands(build: Command, run: Run): void {
  bulkFlags(clientFlags(build.command('cancel-many')))
    .description('end all builds that wait or run and that the flags name; prints their ids')
    .option('--reason <text>', 'why, for those who look at them later')
    .action((flags: BuildCancelManyFlags) =>
      run(async (io) => (await import('./build-cancel-many.ts')).buildCancelMany(io, flags)),
    );

  bulkFlags(clientFlags(build.command('retry-many')))
    .description('start all finished builds again that the flags name and that were not repeated yet; prints their ids')
    .option('--resume-session', "go on with the agents' sessions instead of new ones")
    .addHelpText('after', '\nWithout --status: those that FAILED or were CANCELLED.')
    .action((flags: BuildRetryManyFlags) =>
      run(async (io) => (await import('./build-retry-many.ts')).buildRetryMany(io, flags)),
    );
}

function filterFlags(command: Command): Command {
  return command
    .option('-p, --project <project>', 'only of this project: its slug or id')
    .addOption(new Option('-s, --status <status...>', 'only with one of these').choices(STATUSES))
    .option('--provider <agent>', 'only with this agent')
    .option('--branch <branch>', 'only on this branch')
    .option('-l, --label <name=value>', 'only with this label; may be repeated', pairs)
    .addOption(new Option('--older-than <time>', 'only accepted before: 90m, 12h, 30d').argParser(duration));
}

function bulkFlags(command: Command): Command {
  const limit = new Option('-n, --limit <number>', 'how many at most, the oldest first');
  return filterFlags(command)
    .option('--dry-run', 'change nothing, and show what would be')
    .addOption(limit.argParser(integer(1, 1_000)).default(1_000));
}

function defineStart(build: Command, run: Run): void {
  const start = build.command('start').argument('[prompt]', 'what the agent is to do; - reads it from stdin');
  watchFlags(clientFlags(start))
    .description('start a build; prints its id')
    .requiredOption('-p, --project <project>', 'the project: its slug or id')
    .option('--prompt-file <file>', 'read the prompt from this file')
    .option('--provider <agent>', "the agent, such as claude-code or scripted; by default the project's")
    .option('--model <model>', "the agent's model")
    .option('--branch <branch>', 'the branch to build on and push to')
    .option('--template <template>', 'NAME, or NAME@VERSION')
    .option('--var <name=value>', 'a variable of the template; may be repeated', pairs)
    .option('-l, --label <name=value>', 'for filters and statistics; may be repeated', pairs)
    .addOption(new Option('--priority <number>', 'higher goes first').argParser(integer(-100, 100)))
    .option('--concurrency-key <key>', 'builds of the project with the same key run one at a time')
    .option('--runs-on <label>', 'a label that its worker must have, such as gpu; may be repeated', texts)
    .option('--callback-url <url>', 'who is told about the end, by signed HTTP')
    .addOption(
      new Option(
        '--supersede <policy>',
        'what it does while others wait or run: POLICY, of the whole project, or BY:POLICY, such as BRANCH:CANCEL_IN_PROGRESS',
      ).argParser(supersede),
    )
    .option('--no-commit', 'do not commit what the agent changed')
    .option('--no-push', 'do not push the commit')
    .option('--resume-from <build>', "go on with the agent's session of this build, on its branch")
    .option('--idempotency-key <key>', 'with the same key the same build is given, however often this is repeated')
    .addOption(new Option('--run-after <time>', 'do not start before this moment, in ISO 8601').argParser(moment))
    .addOption(seconds('--wall-seconds', "from the agent's start to its end, at most"))
    .addOption(seconds('--silence-seconds', 'without any output of the agent, at most'))
    .addOption(seconds('--linger-seconds', 'of the agent after its last word, at most'))
    .addOption(new Option('--max-retries <number>', 'refusals of the provider in a row').argParser(integer(0, 1000)))
    .addOption(new Option('--max-turns <number>', 'turns of the agent, at most').argParser(integer(1, 10_000)))
    .addOption(
      new Option('--max-tokens <number>', 'input and output, at most').argParser(integer(1, 1_000_000_000_000)),
    )
    .addOption(new Option('--max-cost <dollars>', 'US dollars, at most').argParser(positiveNumber))
    .addOption(new Option('--network <hosts>', 'what the agent may reach: all, none, or hosts').argParser(network))
    .option('--ask-questions', 'the agent may ask questions: build answer')
    .option('--ask-approval', 'the agent asks before it uses a tool that can do harm: build approve, build reject')
    .addOption(seconds('--wait-seconds', 'that each question waits; by default 1800'))
    .option('--default-answer <text>', 'the answer to questions that nobody answers')
    .addOption(new Option('--default-decision <decision>', 'when nobody decides').choices(['APPROVE', 'REJECT']))
    .option('-w, --watch', 'show its progress until its end')
    .action((prompt: string | undefined, flags: BuildStartFlags) =>
      run(async (io) => (await import('./build-start.ts')).buildStart(io, prompt, flags)),
    );
}

function watchFlags(command: Command): Command {
  return command.option('--plain', 'one line per event, also on a terminal');
}

function cursor(description: string): Option {
  return new Option('--after <number>', description).argParser(integer(0, 999_999_999_999_999)).default(0);
}

function seconds(name: string, description: string): Option {
  return new Option(`${name} <seconds>`, description).argParser(integer(1, DAY));
}
