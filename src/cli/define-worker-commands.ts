import { type Command, Option } from 'commander';
import { clientFlags, jsonFlag, limitOption, type Run } from './define-commands.ts';
import { duration, integer, texts } from './parse-option.ts';
import type { ClientFlags } from './session.ts';
import type { WorkerDrainFlags } from './worker-drain.ts';
import type { WorkerEnrolFlags } from './worker-enrol.ts';
import type { WorkerEnrolTokenFlags } from './worker-enrol-token.ts';
import type { WorkerEnrolmentsFlags } from './worker-enrolments.ts';
import type { WorkerListFlags } from './worker-list.ts';
import type { WorkerOrder } from './worker-order.ts';
import type { WorkerShowFlags } from './worker-show.ts';

const WORKER = ['<worker>', 'its id: worker_…, or its name where only one that lives has it'] as const;

export function defineWorkerCommands(program: Command, run: Run): void {
  const worker = program.command('worker').description('the processes that run builds');
  clientFlags(worker.command('list'))
    .description('list the workers that were heard of in the last day, newest first')
    .option('--label <label>', 'only those that have it; may be repeated', texts)
    .option('--all', 'also those that have ended')
    .addOption(limitOption())
    .action((flags: WorkerListFlags) => run(async (io) => (await import('./worker-list.ts')).workerList(io, flags)));

  clientFlags(worker.command('show').argument(...WORKER))
    .description('show a worker: what it is, what it runs and what it has run')
    .addOption(limitOption())
    .action((name: string, flags: WorkerShowFlags) =>
      run(async (io) => (await import('./worker-show.ts')).workerShow(io, name, flags)),
    );

  const orders: readonly [WorkerOrder, string][] = [
    ['cordon', 'let a worker end what it has and take nothing new; it stays so when it is started again'],
    ['uncordon', 'let a worker take builds again'],
    ['evict', 'put what a worker runs back at once, for others; its process ends when it hears of it'],
  ];
  for (const [order, description] of orders) {
    clientFlags(worker.command(order).argument(...WORKER))
      .description(description)
      .action((name: string, flags: ClientFlags) =>
        run(async (io) => (await import('./worker-order.ts')).workerOrder(io, { order, name }, flags)),
      );
  }

  clientFlags(worker.command('drain').argument(...WORKER))
    .description('let a worker take nothing new and end what it has; then its process ends')
    .addOption(
      new Option('--grace <time>', 'how long what it runs may go on: 90m, 12h, or 0 (by default 10m)').argParser(
        duration,
      ),
    )
    .option('--leave', 'then let agents go on for a worker that starts on the same machine, instead of ending them')
    .action((name: string, flags: WorkerDrainFlags) =>
      run(async (io) => (await import('./worker-drain.ts')).workerDrain(io, name, flags)),
    );
  defineEnrolmentCommands(worker, run);
}

function defineEnrolmentCommands(worker: Command, run: Run): void {
  clientFlags(worker.command('enrol-token').argument('[name]', 'what it is for', 'worker'))
    .description('make a one-time token for a worker of another machine and print it, once')
    .option('--label <label>', 'what the worker is good for, whatever it says itself; may be repeated', texts)
    .option('--project <project>', 'gives it builds of this project only (slug or id); may be repeated', texts)
    .addOption(
      new Option('--expires <time>', 'of no use after this time: 90m, 12h, 1d (by default 60m)').argParser(duration),
    )
    .action((name: string, flags: WorkerEnrolTokenFlags) =>
      run(async (io) => (await import('./worker-enrol-token.ts')).workerEnrolToken(io, name, flags)),
    );

  clientFlags(worker.command('enrolments'))
    .description('list the one-time tokens that wait for their worker, newest first')
    .option('--all', 'also those that were used or revoked, or have expired')
    .addOption(limitOption())
    .action((flags: WorkerEnrolmentsFlags) =>
      run(async (io) => (await import('./worker-enrolments.ts')).workerEnrolments(io, flags)),
    );

  clientFlags(worker.command('revoke-enrolment').argument('<enrolment>', 'its id: enrolment_…'))
    .description('make a one-time token useless, at once and for good')
    .action((id: string, flags: ClientFlags) =>
      run(async (io) => (await import('./worker-enrolments.ts')).workerRevokeEnrolment(io, id, flags)),
    );

  jsonFlag(worker.command('enrol'))
    .description('get a token for the worker of this machine, with a one-time token from stdin, a file or a variable')
    .requiredOption('--server <url>', 'the server, such as https://slipway.example.com')
    .option('--data <folder>', 'the data folder, where the token is kept (SLIPWAY_DATA, by default .slipway)')
    .option('--name <name>', 'how the worker is called (SLIPWAY_WORKER_NAME, by default the host name)')
    .addOption(new Option('--capacity <number>', 'builds at the same time').argParser(integer(1, 1_000)))
    .option('--value-file <file>', 'read the one-time token from this file')
    .option('--value-env <variable>', 'read the one-time token from this environment variable')
    .option('--replace', 'replace the token that this machine has')
    .action((flags: WorkerEnrolFlags) => run(async (io) => (await import('./worker-enrol.ts')).workerEnrol(io, flags)));
}
