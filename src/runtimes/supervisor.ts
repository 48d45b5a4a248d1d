/**
 * The program that stays with a detached run: a POSIX shell, so that nothing of Slipway has to live as long as the run.
 * It is started in the run's folder, in a session of its own, with
 * `/bin/sh -c SCRIPT sh TICK QUIET LEFT CWD ADDED ARGV…`, and leads the process group of the run.
 */
import { constants } from 'node:os';
import { WORKSPACE_MARK } from './build-mark.ts';
import type { ExitStatus } from './runtime.ts';

/** Variables that shells set by themselves. */
const SHELL_VARIABLES = ['PWD', 'OLDPWD', 'SHLVL', '_'];

/**
 * - The trap lets the shell outlive a SIGTERM to its group and still write the exit status; unlike an ignored signal it
 *   is not inherited by the program.
 * - The pid file is complete before the program starts; closing stdout then tells the starter.
 * - `exec` in a subshell, because `"$@"` alone would also run builtins and functions.
 * - The shell of the program assigns no variable: one of the same name may belong to the program's environment.
 * - A line end marks a file as complete, so that nothing outside the shell (`mv`, found by whose PATH?) is needed.
 * - The status is appended to a byte that is there already: on a full disk there is room for nothing more.
 * - Beside the program a watcher counts its own naps, because clocks are set and machines sleep. It kills all that
 *   carries the mark, the shell first and itself last, when the lease file has not changed for QUIET naps, or LEFT naps are
 *   over: nobody reads this agent any more. It survives signals to the group. VTALRM ends it together with its nap: by
 *   KILL, because a nap that is not yet more than a fork of the shell catches TERM and forgets it. The shell does not trap
 *   VTALRM, so that a watcher which has only begun ends, too.
 */
const SCRIPT = `
watch() {
  quiet=0 left=$3 seen=
  while [ "$quiet" -lt "$2" ] && [ "$left" -gt 0 ]; do
    command -p sleep "$1" &
    wait $!
    left=$((left - 1))
    read -r now <lease || now=
    if [ "$now" = "$seen" ]; then quiet=$((quiet + 1)); else quiet=0 seen=$now; fi
  done
  trap '' VTALRM
  kill -9 $$
  if [ -r /proc/self/stat ]; then
    read -r me rest </proc/self/stat
    for process in /proc/[0-9]*; do
      case $process in /proc/$$ | "/proc/$me") continue ;; esac
      command -p grep -qsxzF "${WORKSPACE_MARK}=$${WORKSPACE_MARK}" "$process/environ" && kill -9 "\${process#/proc/}"
    done
  fi
  kill -9 -$$
}
trap : HUP INT QUIT ALRM USR1 USR2 TERM
if [ -r /proc/$$/stat ]; then
  echo "$$ $(read -r stat </proc/$$/stat; set -f; set -- \${stat##*) }; shift 19; echo "$1")"
else
  echo "$$ $(echo $(command -p ps -o lstart= -p $$))"
fi >pid || exit
exec >/dev/null
(trap : HUP INT QUIT ALRM USR1 USR2 TERM; trap 'kill -9 $! 2>/dev/null; wait $!; exit' VTALRM; watch "$@") &
(cd -- "$4" && unset -v $5 && shift 5 && exec "$@") <stdin >>stdout 2>>stderr
status=$?
kill -VTALRM $!
wait $!
echo "$status" >>exit
`;

const NAP_SECONDS = 5;
/** A worker that is back on this machine sooner than this finds the agent alive: twice the time after which others may
 * begin anew, because a neighbour on the same machine sees no more than they. */
const QUIET_SECONDS = 30;
/** Of a command that says nothing else. */
const MAX_SECONDS = 7 * 24 * 3600;

/** The arguments of `/bin/sh`. Throws when a variable has a name that a shell would not pass on. */
export function supervisorArguments(command: {
  readonly argv: readonly [string, ...string[]];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  readonly maxSeconds?: number;
  readonly quietSeconds?: number;
}): string[] {
  const lost = Object.keys(command.env).find((name) => !/^[A-Za-z_][A-Za-z0-9_]*$/.test(name));
  if (lost !== undefined) throw new Error(`"${lost}" cannot be the name of an environment variable.`);
  const { quietSeconds = QUIET_SECONDS, maxSeconds = MAX_SECONDS, cwd, argv } = command;
  const nap = Math.min(NAP_SECONDS, quietSeconds, maxSeconds);
  const naps = (seconds: number) => String(Math.ceil(seconds / nap));
  const watch = [String(nap), naps(quietSeconds), naps(maxSeconds)];
  return ['-c', SCRIPT, 'sh', ...watch, cwd, addedShellVariables(command.env), ...argv];
}

/** Names, separated by spaces. OLDPWD is always among them, as `cd` sets it: there is at least one. */
export function addedShellVariables(env: Readonly<Record<string, string>>): string {
  return SHELL_VARIABLES.filter((name) => name === 'OLDPWD' || !(name in env)).join(' ');
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
