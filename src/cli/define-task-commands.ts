import { type Command, Option } from 'commander';
import { clientFlags, limitOption, type Run } from './define-commands.ts';
import { integer, moment, pairs, texts } from './parse-option.ts';
import type { ClientFlags } from './session.ts';
import type { TaskCancelFlags } from './task-change.ts';
import type { TaskEnqueueFlags } from './task-enqueue.ts';
import type { TaskListFlags } from './task-list.ts';
import type { TaskStatsFlags } from './task-stats.ts';
import type { TaskTypeFlags, TaskTypeSetFlags } from './task-type.ts';
import type { TaskWatchFlags } from './task-watch.ts';
import type { TaskWorkFlags } from './task-work.ts';

const STATUSES = ['PENDING', 'RUNNING', 'COMPLETED', 'FAILED', 'CANCELLED'];
const TASK = 'the task: its id (task_…)';
const PROJECT = 'its slug or id';

export function defineTaskCommands(program: Command, run: Run): void {
  const task = program.command('task').description('give programs work, and do it');
  defineEnqueue(task, run);

  clientFlags(task.command('list'))
    .description('list tasks, newest first')
    .option('-p, --project <project>', `only of this project: ${PROJECT}`)
    .option('-t, --type <type>', 'only of this type; may be repeated', texts)
    .addOption(new Option('-s, --status <status...>', 'only with one of these').choices(STATUSES))
    .option('-l, --label <name=value>', 'only with this label; may be repeated', pairs)
    .addOption(limitOption())
    .action((flags: TaskListFlags) => run(async (io) => (await import('./task-list.ts')).taskList(io, flags)));

  clientFlags(task.command('show').argument('<task>', TASK))
    .description('show a task and its result')
    .action((id: string, flags: ClientFlags) =>
      run(async (io) => (await import('./task-show.ts')).taskShow(io, id, flags)),
    );

  clientFlags(task.command('cancel').argument('<task>', TASK))
    .description('end a task; a running one ends when its worker has let go of it')
    .option('--reason <text>', 'why, for those who look at it later')
    .action((id: string, flags: TaskCancelFlags) =>
      run(async (io) => (await import('./task-change.ts')).taskCancel(io, id, flags)),
    );

  clientFlags(task.command('requeue').argument('<task>', TASK))
    .description('give a task another round that has failed or was cancelled')
    .action((id: string, flags: ClientFlags) =>
      run(async (io) => (await import('./task-change.ts')).taskRequeue(io, id, flags)),
    );

  clientFlags(task.command('redeliver').argument('<task>', TASK))
    .description('send the callback of a task again that has ended, whatever became of it')
    .action((id: string, flags: ClientFlags) =>
      run(async (io) => (await import('./redeliver.ts')).taskRedeliver(io, id, flags)),
    );

  clientFlags(task.command('stats'))
    .description('say how many tasks wait, run and have failed, and how long they wait')
    .option('-p, --project <project>', `only of this project: ${PROJECT}`)
    .option('-t, --type <type>', 'only of this type')
    .action((flags: TaskStatsFlags) => run(async (io) => (await import('./task-stats.ts')).taskStats(io, flags)));

  clientFlags(task.command('watch').argument('<task>', TASK))
    .description('show what happens to a task until its end; the exit code says how it ended')
    .addOption(
      new Option('--after <cursor>', 'only events after this one').argParser(integer(0, Number.MAX_SAFE_INTEGER)),
    )
    .action((id: string, flags: TaskWatchFlags) =>
      run(async (io) => (await import('./task-watch.ts')).taskWatch(io, id, flags)),
    );

  clientFlags(task.command('work'))
    .description('do tasks, one after the other: the payload is on the stdin of a program, its stdout is the result')
    .requiredOption('-t, --type <type>', 'tasks of this type; may be repeated', texts)
    .requiredOption('--exec <command>', 'for the shell; exit code 0: done, 65: of no use to try again, other: failed')
    .option('-l, --label <label>', 'what this worker has; may be repeated', texts)
    .option('--name <name>', 'names the worker among those with this token; by default this machine')
    .option('--once', 'one task, if there is one, and then end')
    .action((flags: TaskWorkFlags) => run(async (io) => (await import('./task-work.ts')).taskWork(io, flags)));

  defineTypes(program, run);
}

function defineEnqueue(task: Command, run: Run): void {
  clientFlags(task.command('enqueue').argument('<type>', 'build, test, deploy, or a type of your own'))
    .description('enqueue a task; prints its id')
    .requiredOption('-p, --project <project>', `the project: ${PROJECT}`)
    .requiredOption('--payload <json>', 'what is to be done, as JSON; - reads it from stdin')
    .addOption(new Option('--priority <number>', 'higher goes first').argParser(integer(-100, 100)))
    .option('-l, --label <name=value>', 'for filters and statistics; may be repeated', pairs)
    .option('--runs-on <label>', 'a label that a worker must have; may be repeated', texts)
    .option('--concurrency-key <key>', 'tasks with the same key run one at a time')
    .option('--run-after <time>', 'not before this moment', moment)
    .option('--callback-url <url>', 'is told when it has ended')
    .addOption(new Option('--max-attempts <number>', 'by default 3').argParser(integer(1, 100)))
    .addOption(new Option('--lease-seconds <number>', 'by default 60').argParser(integer(5, 3600)))
    .option('--idempotency-key <key>', 'with the same key the same task is given, however often this is repeated')
    .action((type: string, flags: TaskEnqueueFlags) =>
      run(async (io) => (await import('./task-enqueue.ts')).taskEnqueue(io, type, flags)),
    );
}

function defineTypes(program: Command, run: Run): void {
  const type = program.command('task-type').description('what payloads of tasks look like');
  const owned = (command: Command) =>
    clientFlags(command).option('-p, --project <project>', `of this project (${PROJECT}), and not of all`);

  owned(type.command('set').argument('<name>', 'a-z, 0-9 and . _ -'))
    .description('make a type of tasks, or replace its schema')
    .requiredOption('--schema <json>', 'the JSON Schema of its payloads; {} takes any, - reads it from stdin')
    .action((name: string, flags: TaskTypeSetFlags) =>
      run(async (io) => (await import('./task-type.ts')).taskTypeSet(io, name, flags)),
    );

  owned(type.command('list'))
    .description('list the types of tasks')
    .action((flags: TaskTypeFlags) => run(async (io) => (await import('./task-type.ts')).taskTypeList(io, flags)));

  owned(type.command('delete').argument('<name>', 'its name'))
    .description('delete a type of tasks; what is queued of it stays')
    .action((name: string, flags: TaskTypeFlags) =>
      run(async (io) => (await import('./task-type.ts')).taskTypeDelete(io, name, flags)),
    );
}
