/** One command, from its arguments to its exit code. */
import { type Command, CommanderError } from 'commander';
import { CliError, EXIT, type ExitCode } from './exit-code.ts';
import type { Io } from './io.ts';
import { createProgram } from './program.ts';

/** `args` without the program's name. Never rejects. */
export async function runCli(args: readonly string[], io: Io): Promise<ExitCode> {
  let exitCode: ExitCode = EXIT.done;
  const program = createProgram(async (command) => {
    exitCode = await command(io);
  });
  configure(program, io);
  try {
    await program.parseAsync([...args], { from: 'user' });
    return exitCode;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.done : EXIT.error;
    const failure = await describeFailure(error);
    if (args.includes('--json')) io.stderr.write(`${JSON.stringify({ error: toJson(failure) })}\n`);
    else io.stderr.write(`error: ${[failure.message, ...failure.hints].join('\n  ')}\n`);
    return failure.exitCode;
  }
}

function configure(command: Command, io: Io): void {
  command.exitOverride().configureOutput({
    writeOut: (text) => io.stdout.write(text),
    writeErr: (text) => io.stderr.write(text),
  });
  for (const child of command.commands) configure(child, io);
}

function toJson({ code, message, hints }: CliError) {
  return { code, message, hints };
}

/** Errors are loaded only now, so that commands without a client or a configuration need not load them. */
async function describeFailure(error: unknown): Promise<CliError> {
  if (error instanceof CliError) return error;
  const { ApiError, ConnectionError } = await import('../client/errors.ts');
  const { ConfigError } = await import('../config/config.ts');
  if (error instanceof ApiError) return describeApiError(error);
  if (error instanceof ConfigError) return new CliError(error.message, { code: 'CONFIG', hints: [] });
  if (error instanceof ConnectionError) {
    const hints = ['Is the server running? `npm start` runs one here; --url or SLIPWAY_URL names another.'];
    return new CliError(error.message, { code: 'UNREACHABLE', hints });
  }
  const { MasterKeyError, SlipwayError } = await import('../errors.ts');
  if (error instanceof SlipwayError) {
    return new CliError(error.message, {
      code: error.code,
      hints: error instanceof MasterKeyError ? error.hints : [],
    });
  }
  // A defect: the stack is what a report needs.
  const stack = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return new CliError(stack, { code: 'INTERNAL' });
}

function describeApiError(error: { code: string; message: string; notAllowed: boolean }): CliError {
  const { code, message, notAllowed } = error;
  const hints = code === 'UNAUTHENTICATED' ? ['Give a token with SLIPWAY_TOKEN or --token.'] : [];
  return new CliError(message, { code, hints, exitCode: notAllowed ? EXIT.notAllowed : EXIT.error });
}
