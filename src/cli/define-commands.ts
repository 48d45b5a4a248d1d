/** What the files that define commands share. A definition names its flags; what it does is loaded when it is run. */
import { type Command, Option } from 'commander';
import type { ExitCode } from './exit-code.ts';
import type { Io } from './io.ts';
import { integer } from './parse-option.ts';

/** Runs a command and keeps what it ends with. */
export type Run = (command: (io: Io) => Promise<ExitCode>) => Promise<void>;

export const BUILD_ARGUMENT = "the build: its id (build_…) or PROJECT#NUMBER, such as 'boats#3'";

export function jsonFlag(command: Command): Command {
  return command.option('--json', 'print the answer as JSON on stdout, and errors as JSON on stderr');
}

export function clientFlags(command: Command): Command {
  return jsonFlag(command)
    .option('--url <url>', 'the API (SLIPWAY_URL, by default http://127.0.0.1:4400/graphql)')
    .option('--token <token>', 'the token (better: SLIPWAY_TOKEN, which other users of the machine cannot see)');
}

/** Of a list: one page. */
export function limitOption(): Option {
  return new Option('-n, --limit <number>', 'how many at most').argParser(integer(1, 100)).default(20);
}
