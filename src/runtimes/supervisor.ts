/**
 * The program that stays with a detached run: a POSIX shell, so that nothing of Slipway has to live as long as the run.
 * It is started in the run's folder, in a session of its own, with `/bin/sh -c SCRIPT sh CWD ADDED ARGV…`,
 * and leads the process group of the run.
 */
import { constants } from 'node:os';
import type { ExitStatus } from './runtime.ts';

/** Variables that shells set by themselves. */
const SHELL_VARIABLES = ['PWD', 'OLDPWD', 'SHLVL', '_'];

/**
 * - The trap lets the shell outlive a SIGTERM to its group and still write the exit status; unlike an ignored signal it
 *   is not inherited by the program.
 * - The pid file is complete before the program starts; closing stdout then tells the starter.
 * - `exec` in a subshell, because `"$@"` alone would also run builtins and functions.
 * - No variable is assigned: one of the same name may belong to the program's environment.
 * - A line end marks a file as complete, so that nothing outside the shell (`mv`, found by whose PATH?) is needed.
 */
const SCRIPT = `
trap : HUP INT QUIT ALRM USR1 USR2 TERM
if [ -r /proc/$$/stat ]; then
  echo "$$ $(read -r stat </proc/$$/stat; set -f; set -- \${stat##*) }; shift 19; echo "$1")"
else
  echo "$$ $(echo $(command -p ps -o lstart= -p $$))"
fi >pid || exit
exec >/dev/null
(cd -- "$1" && unset -v $2 && shift 2 && exec "$@") <stdin >>stdout 2>>stderr
echo "$?" >exit
`;

/** The arguments of `/bin/sh`. Throws when a variable has a name that a shell would not pass on. */
export function supervisorArguments(command: {
  readonly argv: readonly [string, ...string[]];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
}): string[] {
  const lost = Object.keys(command.env).find((name) => !/^[A-Za-z_][A-Za-z0-9_]*$/.test(name));
  if (lost !== undefined) throw new Error(`"${lost}" cannot be the name of an environment variable.`);
  // OLDPWD is always in the list, as `cd` sets it: the list is never empty.
  const added = SHELL_VARIABLES.filter((name) => name === 'OLDPWD' || !(name in command.env));
  return ['-c', SCRIPT, 'sh', command.cwd, added.join(' '), ...command.argv];
}

/** Signals that end a program which does not handle them, and that people or systems send. */
const DEADLY: readonly NodeJS.Signals[] = [
  'SIGHUP',
  'SIGINT',
  'SIGQUIT',
  'SIGILL',
  'SIGTRAP',
  'SIGABRT',
  'SIGBUS',
  'SIGFPE',
  'SIGKILL',
  'SIGUSR1',
  'SIGSEGV',
  'SIGUSR2',
  'SIGPIPE',
  'SIGALRM',
  'SIGTERM',
  'SIGSYS',
];

/**
 * What a shell's `$?` says. A shell reports signal n as 128 + n, and programs that clean up after a signal exit with the
 * same number by convention: both read as `signalled`. Other numbers above 128 are exit codes (Gemini exits with 145).
 */
export function decodeShellStatus(status: number): ExitStatus {
  const signal = DEADLY.find((name) => constants.signals[name] === status - 128);
  return signal === undefined ? { kind: 'exited', code: status } : { kind: 'signalled', signal };
}
