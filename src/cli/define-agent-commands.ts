import type { Command } from 'commander';
import { clientFlags, type Run } from './define-commands.ts';
import type { ClientFlags } from './session.ts';

export function defineAgentCommands(program: Command, run: Run): void {
  clientFlags(program.command('agents'))
    .description('list the agents: what each can do, and on which workers it can be run')
    .action((flags: ClientFlags) => run(async (io) => (await import('./agent-list.ts')).agentList(io, flags)));
}
