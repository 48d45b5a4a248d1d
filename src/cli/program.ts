/** The commands and their flags. What a command does is loaded when it is run, so that help and lists are quick. */
import { Command } from 'commander';
import { VERSION } from '../std/version.ts';
import { defineAgentCommands } from './define-agent-commands.ts';
import { defineAuditCommands } from './define-audit-commands.ts';
import { defineBuildCommands } from './define-build-commands.ts';
import type { Run } from './define-commands.ts';
import { defineCredentialCommands } from './define-credential-commands.ts';
import { defineProjectCommands, defineTokenCommands } from './define-project-commands.ts';
import { defineQueueCommands } from './define-queue-commands.ts';
import { defineScheduleCommands } from './define-schedule-commands.ts';
import { defineServiceCommands } from './define-service-commands.ts';
import { defineStatsCommands } from './define-stats-commands.ts';
import { defineTaskCommands } from './define-task-commands.ts';
import { defineWorkerCommands } from './define-worker-commands.ts';

const CLOSING = `
Exit codes: 0 done, 1 error, 2 cancelled, 3 the build failed, 4 not allowed.
Configuration: slipway help config. On this machine, \`slipway up\` is the beginning.`;

export function createProgram(run: Run): Command {
  const program = new Command('slipway')
    .description('A build orchestrator for coding agents: a prompt in, a pushed commit and a signed callback out.')
    .version(VERSION)
    .helpCommand(false)
    .addHelpText('after', CLOSING)
    .showHelpAfterError('(slipway help says more)');
  defineServiceCommands(program, run);
  defineProjectCommands(program, run);
  defineBuildCommands(program, run);
  defineTaskCommands(program, run);
  defineScheduleCommands(program, run);
  defineQueueCommands(program, run);
  defineTokenCommands(program, run);
  defineCredentialCommands(program, run);
  defineAgentCommands(program, run);
  defineWorkerCommands(program, run);
  defineAuditCommands(program, run);
  defineStatsCommands(program, run);
  program
    .command('help')
    .argument('[topic...]', 'a command, such as build start; or config')
    .description('say more about a command, or about the configuration')
    .action(async (topic: readonly string[]) => {
      if (topic.join(' ') === 'config') return run(async (io) => (await import('./help-config.ts')).helpConfig(io));
      const command = topic.reduce(childOf, program);
      command.outputHelp();
    });
  return program;
}

function childOf(parent: Command, name: string): Command {
  const child = parent.commands.find((command) => command.name() === name);
  return child ?? parent.error(`error: there is no help on '${name}'`);
}
