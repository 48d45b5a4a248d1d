/** Claude Code, run once per build without a terminal: prompt in by stdin, stream-json out. */
import type { Agent, AgentTask } from './agent.ts';
import { createClaudeReader } from './claude-code-stream.ts';
import { hostOf } from './host-of.ts';
import { openLineRun } from './line-agent.ts';
import { probeProgram } from './probe-program.ts';

export interface ClaudeCodeOptions {
  /** The program: an absolute path, or a name that is found in PATH of `environment`. */
  readonly program: string;
  /** PATH, LANG and what else the operator lets an agent see. Nothing is inherited. */
  readonly environment: Readonly<Record<string, string>>;
  readonly apiKey: string | null;
  /** A gateway instead of the provider's own address. */
  readonly baseUrl: string | null;
}

const PROVIDER = 'https://api.anthropic.com';
const INSTALL = 'Install it with `npm install --global @anthropic-ai/claude-code` on the worker.';

/** It calls nobody but its model. */
const QUIET = {
  CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1',
  DISABLE_TELEMETRY: '1',
  DISABLE_ERROR_REPORTING: '1',
  DISABLE_AUTOUPDATER: '1',
};

/**
 * What the agent may do without asking; nobody is there to answer. Not Edit and Write: `acceptEdits` lets them change
 * the checkout, and naming them here would let them change every other file too.
 */
const ALLOWED_TOOLS = 'Bash,Read,Glob,Grep,WebFetch,WebSearch,Task,Skill';

/** Tools of an interactive session: they leave the checkout, outlive the run or talk to other sessions. */
const DISALLOWED_TOOLS =
  'EnterWorktree,ExitWorktree,CronCreate,CronDelete,CronList,ScheduleWakeup,ListAgents,SendMessage,AskUserQuestion';

const INSTRUCTIONS =
  'You work unattended: nobody can answer questions. Follow AGENTS.md or CLAUDE.md in the working directory if there ' +
  'is one. Leave your changes in the working tree: do not commit, push or switch branches; that is done for you.';

export function createClaudeCode(options: ClaudeCodeOptions): Agent {
  return {
    name: 'claude-code',
    capabilities: { resume: true, cost: true, models: true, messages: false, permissions: false },
    modelKey: { variable: 'ANTHROPIC_API_KEY', hasDefault: options.apiKey !== null },
    probe: () => probeProgram({ ...options, environment: { ...options.environment, ...QUIET }, remedy: INSTALL }),
    open: (task) =>
      openLineRun({
        task,
        reader: createClaudeReader(),
        command: () => ({
          argv: commandLine(options, task),
          cwd: task.workspace.paths.work,
          env: environment(options, task),
          stdin: `${JSON.stringify(message(task.prompt))}\n`,
          redact: task.redact,
          network: task.network,
          // Without its model there is no agent.
          reaches: [hostOf((task.modelKey ?? options).baseUrl ?? PROVIDER)],
        }),
      }),
  };
}

/** Never the prompt: an argument may be read as an option, is cut at 128 KiB and shows in every process list. */
function commandLine(options: ClaudeCodeOptions, task: AgentTask): [string, ...string[]] {
  const { maxTurns, maxCostUsd } = task.limits;
  return [
    options.program,
    '-p',
    '--input-format=stream-json',
    '--output-format=stream-json',
    '--verbose',
    task.resumeSessionId === null ? `--session-id=${task.sessionId}` : `--resume=${task.resumeSessionId}`,
    '--permission-mode=acceptEdits',
    `--allowedTools=${ALLOWED_TOOLS}`,
    `--disallowedTools=${DISALLOWED_TOOLS}`,
    `--append-system-prompt=${INSTRUCTIONS}`,
    ...(task.trustRepoConfig
      ? ['--setting-sources=user,project,local']
      : ['--setting-sources=', '--strict-mcp-config']),
    ...(maxTurns === null ? [] : [`--max-turns=${maxTurns}`]),
    ...(maxCostUsd === null ? [] : [`--max-budget-usd=${maxCostUsd}`]),
    ...(task.model === null ? [] : [`--model=${task.model}`]),
  ];
}

/** `client_composed` makes `/compact` and `@secret.txt` plain text instead of a command and an inclusion. */
function message(prompt: string): object {
  return {
    type: 'user',
    message: { role: 'user', content: [{ type: 'text', text: prompt }] },
    parent_tool_use_id: null,
    client_composed: true,
    session_id: '',
  };
}

function environment(
  options: ClaudeCodeOptions,
  { workspace: { paths }, modelKey }: AgentTask,
): Record<string, string> {
  const { key, baseUrl } = modelKey ?? { key: options.apiKey, baseUrl: options.baseUrl };
  return {
    ...options.environment,
    ...(key === null ? {} : { ANTHROPIC_API_KEY: key }),
    ...(baseUrl === null ? {} : { ANTHROPIC_BASE_URL: baseUrl }),
    HOME: paths.home,
    CLAUDE_CONFIG_DIR: `${paths.home}/.claude`,
    // Other sessions of the same user are found, and talked to, through sockets in here.
    XDG_RUNTIME_DIR: paths.tmp,
    TMPDIR: paths.tmp,
    // A dev server in the background would keep the process for ten minutes after its last word.
    CLAUDE_CODE_DISABLE_BACKGROUND_TASKS: '1',
    // Ten by default: three minutes of silence for a wrong key.
    CLAUDE_CODE_MAX_RETRIES: '3',
    CLAUDE_CODE_STARTUP_FAILURE_RESULTS: '1',
    ...QUIET,
  };
}
