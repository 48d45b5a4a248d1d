import type { Command } from 'commander';
import { jsonFlag, type Run } from './define-commands.ts';
import type { DemoFlags } from './demo.ts';
import type { DoctorFlags } from './doctor.ts';
import type { ServiceFlags } from './serve.ts';
import type { UpFlags } from './up.ts';
import type { RemoteFlags } from './work-remotely.ts';

export function defineServiceCommands(program: Command, run: Run): void {
  listenFlags(
    jsonFlag(program.command('up')).description(
      'run everything in one process: the API, a worker, callbacks, and a Postgres unless SLIPWAY_DATABASE_URL is set',
    ),
  )
    .option(
      '--new-token',
      "make another administrator's token, because the first one was lost; that one no longer works",
    )
    .action((flags: UpFlags) => run(async (io) => (await import('./up.ts')).up(io, flags)));

  listenFlags(jsonFlag(program.command('serve')).description('run the API alone; needs SLIPWAY_DATABASE_URL')).action(
    (flags: ServiceFlags) => run(async (io) => (await import('./serve.ts')).serve(io, flags)),
  );

  dataFlag(jsonFlag(program.command('work')))
    .description(
      'run builds and deliver callbacks, without the API; needs SLIPWAY_DATABASE_URL, or with --server nothing but the API',
    )
    .option('--server <url>', 'run builds of this server over its API, on a machine that does not reach the database')
    .option('--token-file <file>', 'holds a token with the scope work, for --server (or SLIPWAY_TOKEN)')
    .option('--allow-http', 'for --server: also where others could read the token and the secrets of builds on the way')
    .action((flags: ServiceFlags & RemoteFlags) =>
      run(async (io) => {
        const { server } = flags;
        if (server === undefined) return (await import('./work.ts')).work(io, flags);
        return (await import('./work-remotely.ts')).workRemotely(io, { ...flags, server });
      }),
    );

  jsonFlag(program.command('migrate'))
    .description('bring the database of SLIPWAY_DATABASE_URL to this version; safe to repeat')
    .action((flags: { json?: boolean }) => run(async (io) => (await import('./migrate.ts')).migrate(io, flags)));

  jsonFlag(program.command('doctor'))
    .description('say what this machine has and lacks, and how to get it; exit code 1 when Slipway cannot run')
    .option(
      '--kubernetes',
      'the cluster, too, with a pod that is removed again; always so with SLIPWAY_RUNTIME=kubernetes',
    )
    .action((flags: DoctorFlags) => run(async (io) => (await import('./doctor.ts')).doctor(io, flags)));

  jsonFlag(program.command('demo'))
    .description('show everything once, in a temporary folder: a build, a pushed commit, a verified callback')
    .option('--plain', 'one line per event, also on a terminal')
    .action((flags: DemoFlags) => run(async (io) => (await import('./demo.ts')).demo(io, flags)));
}

function dataFlag(command: Command): Command {
  return command.option('--data <folder>', 'the data folder (SLIPWAY_DATA, by default .slipway)');
}

function listenFlags(command: Command): Command {
  return dataFlag(command)
    .option('--host <address>', 'the address to listen on (SLIPWAY_HOST, by default 127.0.0.1)')
    .option('--port <port>', 'the port to listen on, 0 for a free one (SLIPWAY_PORT, by default 4400)');
}
