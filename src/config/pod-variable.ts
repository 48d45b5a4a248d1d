const NAME = /^[A-Za-z_][A-Za-z0-9_]{0,127}$/;

/** What makes a program load code that it does not know, or changes what git does: of no use but to take over Slipway's own. */
const DANGEROUS =
  /^(LD_|DYLD_|GIT_|BASH_FUNC_|MALLOC_|GLIBC_TUNABLES$|NODE_(OPTIONS|PATH|V8_COVERAGE|REPL_EXTERNAL_MODULE|CHANNEL_)|(BASH_ENV|ENV|SHELLOPTS|BASHOPTS|IFS|PS4|PROMPT_COMMAND|GCONV_PATH|LOCPATH)$)/;
const OURS = /^(SLIPWAY_|KUBERNETES_|(NODE_COMPILE_CACHE|HOME|TMPDIR|PWD|USER|LOGNAME|SHELL)$)/;

/** Says in a few words why the operator may not set this variable in the agent's container; null when he may. */
export function variableProblem(name: string): string | null {
  if (!NAME.test(name)) return 'must be the name of a variable: letters, digits and _';
  if (DANGEROUS.test(name)) return `must not be ${name}, which changes how programs and git work`;
  if (OURS.test(name)) return `must not be ${name}, which Slipway sets itself`;
  return null;
}
