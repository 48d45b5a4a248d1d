/** Commands that talk to the agent of a running build. */
import { type Command, Option } from 'commander';
import type { BuildApproveFlags } from './build-approve.ts';
import type { BuildRejectFlags } from './build-reject.ts';
import type { BuildTellFlags } from './build-tell.ts';
import { BUILD_ARGUMENT, clientFlags, type Run } from './define-commands.ts';
import type { ClientFlags } from './session.ts';

const QUESTION = 'the question: its id (question_…), which build watch and build show print';

export function defineTalkCommands(build: Command, run: Run): void {
  clientFlags(build.command('tell').argument('<build>', BUILD_ARGUMENT))
    .argument('<text>', 'what to tell its agent; - reads it from stdin')
    .description('tell the agent of a build something; it hears it when its turn has ended')
    .addOption(new Option('--steer', 'within its turn, between two steps, where the agent can').conflicts('interrupt'))
    .option('--interrupt', 'at once: what the agent is doing is broken off')
    .option('--idempotency-key <key>', 'with the same key the same message is given, however often this is repeated')
    .action((id: string, text: string, flags: BuildTellFlags) =>
      run(async (io) => (await import('./build-tell.ts')).buildTell(io, id, text, flags)),
    );

  clientFlags(build.command('answer').argument('<question>', QUESTION))
    .argument(
      '<answer...>',
      'for each thing that is asked: a number or label, several with commas, or words of your own',
    )
    .description('answer what the agent of a build asks')
    .action((id: string, answers: string[], flags: ClientFlags) =>
      run(async (io) => (await import('./build-answer.ts')).buildAnswer(io, id, answers, flags)),
    );

  clientFlags(build.command('approve').argument('<question>', QUESTION))
    .description('allow the tool that the agent of a build wants to use')
    .option('--always', 'also the next times that it wants to use this tool')
    .option('--note <text>', 'for the agent')
    .action((id: string, flags: BuildApproveFlags) =>
      run(async (io) => (await import('./build-approve.ts')).buildApprove(io, id, flags)),
    );

  clientFlags(build.command('reject').argument('<question>', QUESTION))
    .description('refuse the tool that the agent of a build wants to use; the agent goes on without it')
    .option('--note <text>', 'why not, for the agent')
    .action((id: string, flags: BuildRejectFlags) =>
      run(async (io) => (await import('./build-reject.ts')).buildReject(io, id, flags)),
    );
}
