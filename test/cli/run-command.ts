/** A command of the CLI in this process, with streams, an environment and signals of its own. */
import { EventEmitter } from 'node:events';
import { PassThrough, Readable } from 'node:stream';
import type { ExitCode } from '../../src/cli/exit-code.ts';
import { runCli } from '../../src/cli/run-cli.ts';

export interface CommandOptions {
  /** Nothing of this process' own is seen. */
  readonly environment?: Readonly<Record<string, string>>;
  readonly stdin?: string;
}

export interface EndedCommand {
  readonly exitCode: ExitCode;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunningCommand {
  readonly ended: Promise<EndedCommand>;
  /** So far. */
  readonly stdout: string;
  readonly stderr: string;
  signal(name: 'SIGINT' | 'SIGTERM'): void;
}

export function startCommand(args: readonly string[], options: CommandOptions = {}): RunningCommand {
  const signals = new EventEmitter();
  const printed = { stdout: '', stderr: '' };
  const collect = (name: 'stdout' | 'stderr') => {
    const stream = new PassThrough({ encoding: 'utf8' });
    stream.on('data', (text: string) => {
      printed[name] += text;
    });
    return stream;
  };
  const ended = runCli(args, {
    stdin: Readable.from([options.stdin ?? '']),
    stdout: collect('stdout'),
    stderr: collect('stderr'),
    environment: options.environment ?? {},
    signals: signals as unknown as NodeJS.Process,
  });
  return {
    ended: ended.then((exitCode) => ({ exitCode, ...printed })),
    get stdout() {
      return printed.stdout;
    },
    get stderr() {
      return printed.stderr;
    },
    signal: (name) => void signals.emit(name),
  };
}

export function runCommand(args: readonly string[], options: CommandOptions = {}): Promise<EndedCommand> {
  return startCommand(args, options).ended;
}
