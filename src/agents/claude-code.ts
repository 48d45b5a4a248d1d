/** Claude Code without a terminal: what people say in by stdin, stream-json out, through a program of ours. */
import { MESSAGE_MODES } from '../events/vocabulary.ts';
import type { Agent, AgentTask } from './agent.ts';
import { QUESTION_TOOL } from './claude-code-control.ts';
import type { ClaudeInput } from './claude-code-program.ts';
import { createClaudeReader } from './claude-code-stream.ts';
import { hostOf } from './host-of.ts';
import { attended, FOLLOW_REPOSITORY, LEAVE_CHANGES, UNATTENDED } from './instructions.ts';
import { openLineRun } from './line-agent.ts';
import { ownProgram } from './own-program.ts';
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

const PROGRAM = ownProgram('./claude-code-program', [
  './claude-code-control',
  './inbox',
  './json-fields',
  '../std/line-splitter',
]);
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
 * What it may do without asking. Not Edit and Write: `acceptEdits` lets them change the checkout, and naming them here
 * would let them change every other file too.
 */
const FREE_TOOLS = ['Read', 'Glob', 'Grep', 'Task', 'Skill'];

/** What it may do without asking where nobody is there to be asked. */
const UNASKED_TOOLS = ['Bash', 'WebFetch', 'WebSearch'];

/** Tools of an interactive session: they leave the checkout, outlive the run, wait for a person or talk to other sessions. */
const DISALLOWED_TOOLS = [
  'EnterWorktree',
  'ExitWorktree',
  'EnterPlanMode',
  'ExitPlanMode',
  'CronCreate',
  'CronDelete',
  'CronList',
  'ScheduleWakeup',
  'ListAgents',
  'SendMessage',
];

const INSTRUCTIONS = `${FOLLOW_REPOSITORY} ${LEAVE_CHANGES}`;

export function createClaudeCode(options: ClaudeCodeOptions): Agent {
  return {
    name: 'claude-code',
    capabilities: {
      resume: true,
      cost: true,
      models: true,
      messages: MESSAGE_MODES,
      questions: true,
      permissions: true,
    },
    modelKey: { variable: 'ANTHROPIC_API_KEY', hasDefault: options.apiKey !== null },
    probe: () => probeProgram({ ...options, environment: { ...options.environment, ...QUIET }, remedy: INSTALL }),
    open: (task) =>
      openLineRun({
        task,
        reader: createClaudeReader(task.asks),
        command: () => ({
          argv: PROGRAM.argv(task.workspace),
          cwd: task.workspace.paths.work,
          env: environment(options, task),
          stdin: JSON.stringify(input(options, task)),
          inbox: true,
          redact: task.redact,
          network: task.network,
          // Without its model there is no agent.
          reaches: [hostOf((task.modelKey ?? options).baseUrl ?? PROVIDER)],
          files: PROGRAM.files,
          programs: [options.program],
        }),
      }),
  };
}

function input(options: ClaudeCodeOptions, task: AgentTask): ClaudeInput {
  return { command: commandLine(options, task), prompt: task.prompt, asks: task.asks };
}

/** Never the prompt: an argument may be read as an option, is cut at 128 KiB and shows in every process list. */
function commandLine(options: ClaudeCodeOptions, task: AgentTask): [string, ...string[]] {
  const { asks, limits } = task;
  const { maxTurns, maxCostUsd } = limits;
  return [
    options.program,
    '-p',
    '--input-format=stream-json',
    '--output-format=stream-json',
    '--verbose',
    task.resumeSessionId === null ? `--session-id=${task.sessionId}` : `--resume=${task.resumeSessionId}`,
    '--permission-mode=acceptEdits',
    ...(asks.questions || asks.permissions ? ['--permission-prompt-tool=stdio'] : []),
    `--allowedTools=${[...FREE_TOOLS, ...(asks.permissions ? [] : UNASKED_TOOLS)].join()}`,
    `--disallowedTools=${[...DISALLOWED_TOOLS, ...(asks.questions ? [] : [QUESTION_TOOL])].join()}`,
    `--append-system-prompt=${asks.questions ? attended(QUESTION_TOOL) : UNATTENDED} ${INSTRUCTIONS}`,
    ...(task.trustRepoConfig
      ? ['--setting-sources=user,project,local']
      : ['--setting-sources=', '--strict-mcp-config']),
    ...(maxTurns === null ? [] : [`--max-turns=${maxTurns}`]),
    ...(maxCostUsd === null ? [] : [`--max-budget-usd=${maxCostUsd}`]),
    ...(task.model === null ? [] : [`--model=${task.model}`]),
  ];
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
    // When it is idle it may be left without input: a result ends a turn, but not what runs beside it.
    CLAUDE_CODE_EMIT_SESSION_STATE_EVENTS: '1',
    ...QUIET,
  };
}
