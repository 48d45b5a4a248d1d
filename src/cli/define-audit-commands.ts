import { type Command, Option } from 'commander';
import type { AuditListFlags } from './audit-list.ts';
import { clientFlags, limitOption, type Run } from './define-commands.ts';
import { moment } from './parse-option.ts';

export function defineAuditCommands(program: Command, run: Run): void {
  const audit = program.command('audit').description('who did what');
  clientFlags(audit.command('list'))
    .description('list what was done, newest first; needs a token with the scope admin')
    .option('--actor <actor>', 'only by this one: token_…, system, or a command such as "slipway up"')
    .option('--action <action>', 'only this mutation, such as startBuild')
    .option('--subject <id>', 'only what was done to this: build_…, project_…, token_…')
    .option('-p, --project <project>', 'only what belongs to this project: its slug or id')
    .addOption(new Option('--from <time>', 'only from this moment on, in ISO 8601').argParser(moment))
    .addOption(new Option('--to <time>', 'only before this moment, in ISO 8601').argParser(moment))
    .addOption(limitOption())
    .action((flags: AuditListFlags) => run(async (io) => (await import('./audit-list.ts')).auditList(io, flags)));
}
