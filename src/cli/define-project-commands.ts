import { type Command, Option } from 'commander';
import { clientFlags, limitOption, type Run } from './define-commands.ts';
import { defineProjectQueueCommands } from './define-queue-commands.ts';
import { duration, lifetime, texts } from './parse-option.ts';
import type { ProjectCreateFlags } from './project-create.ts';
import type { ProjectListFlags } from './project-list.ts';
import type { ClientFlags } from './session.ts';
import type { TokenCreateFlags } from './token-create.ts';
import type { TokenListFlags } from './token-list.ts';
import type { TokenRotateFlags } from './token-rotate.ts';

export function defineProjectCommands(program: Command, run: Run): void {
  const project = program.command('project').description('the repositories that builds change');
  clientFlags(project.command('create').argument('<name>', 'what it is called'))
    .description('create a project; prints its id and slug')
    .option('--slug <slug>', 'its short name; by default made from the name')
    .option('--repository <url>', 'a git repository (https, ssh, or a path of the server); by default a managed one')
    .option('--default-branch <branch>', 'the branch that builds start from; by default main')
    .option('--template <template>', 'the template of its builds: NAME, or NAME@VERSION')
    .option('--provider <agent>', 'the agent of its builds')
    .option('--model <model>', "the agent's model")
    .option('--callback-url <url>', 'who is told about the end of its builds, by signed HTTP')
    .option('--artifact <glob>', 'files that are kept when a build ends; may be repeated', texts)
    .option('--image <image>', 'the image of its agents, on Kubernetes')
    .option('--cpu <amount>', 'processors of an agent, on Kubernetes: 2, 500m')
    .option('--memory <amount>', 'memory of an agent, on Kubernetes: 4Gi')
    .option('--storage <amount>', 'what a build may use of the disk, on Kubernetes: 20Gi')
    .action((name: string, flags: ProjectCreateFlags) =>
      run(async (io) => (await import('./project-create.ts')).projectCreate(io, name, flags)),
    );

  clientFlags(project.command('list'))
    .description('list projects, newest first')
    .option('--search <text>', 'only with this in the name or slug')
    .option('--archived', 'only those that are archived')
    .addOption(limitOption())
    .action((flags: ProjectListFlags) => run(async (io) => (await import('./project-list.ts')).projectList(io, flags)));
  defineProjectQueueCommands(project, run);
}

export function defineTokenCommands(program: Command, run: Run): void {
  const token = program.command('token').description('who may use the API');
  clientFlags(token.command('create').argument('<name>', 'what it is for'))
    .description('make a token and print it, once')
    .requiredOption(
      '--scope <scope>',
      'builds:read, builds:write, projects:write, tasks:read, tasks:write, work, workers, stats:read or admin; may be repeated',
      texts,
    )
    .option('--project <project>', 'limits it to this project (slug or id); may be repeated', texts)
    .addOption(new Option('--expires <time>', 'of no use after this time: 90m, 12h, 30d').argParser(lifetime))
    .option('--database', 'make it straight in SLIPWAY_DATABASE_URL: the first token of a cluster')
    .action((name: string, flags: TokenCreateFlags) =>
      run(async (io) => (await import('./token-create.ts')).tokenCreate(io, name, flags)),
    );

  clientFlags(token.command('list'))
    .description('list tokens, newest first')
    .option('--include-revoked', 'also those that were revoked or have expired')
    .addOption(limitOption())
    .action((flags: TokenListFlags) => run(async (io) => (await import('./token-list.ts')).tokenList(io, flags)));

  clientFlags(token.command('rotate').argument('<id>', 'its id: token_…'))
    .description('give a token a new secret and print it, once; its id, rights and end stay')
    .addOption(
      new Option(
        '--grace <time>',
        'how long the present secret works on: 90m, 12h, 7d at most, or 0 (by default 1h)',
      ).argParser(duration),
    )
    .action((id: string, flags: TokenRotateFlags) =>
      run(async (io) => (await import('./token-rotate.ts')).tokenRotate(io, id, flags)),
    );

  clientFlags(token.command('revoke').argument('<id>', 'its id: token_…'))
    .description('make a token useless, at once and for good')
    .action((id: string, flags: ClientFlags) =>
      run(async (io) => (await import('./token-revoke.ts')).tokenRevoke(io, id, flags)),
    );
}
