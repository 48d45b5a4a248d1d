/** Codex, run once per build by `codex exec`: prompt in by stdin, JSON lines out. It is configured by flags alone. */
import type { Usage } from '../events/event.ts';
import type { Agent, AgentTask } from './agent.ts';
import { createCodexReader } from './codex-stream.ts';
import { hostOf } from './host-of.ts';
import { LEAVE_CHANGES, UNATTENDED } from './instructions.ts';
import { openLineRun } from './line-agent.ts';
import { probeProgram } from './probe-program.ts';
import { programFiles } from './program-files.ts';

export interface CodexOptions {
  /** The program: an absolute path, or a name that is found in PATH of `environment`. */
  readonly program: string;
  /** PATH, LANG and what else the operator lets an agent see. Nothing is inherited. */
  readonly environment: Readonly<Record<string, string>>;
  readonly apiKey: string | null;
  /** A gateway instead of the provider's own address. */
  readonly baseUrl: string | null;
}

const PROVIDER = 'https://api.openai.com/v1';
const KEY = 'OPENAI_API_KEY';
const INSTALL = 'Install it with `npm install --global @openai/codex` on the worker.';

/** Where the files of sessions were: with the home of an earlier build they are elsewhere now, and Codex finds them anew. */
const FORGET_PLACES = 'rm -f "$HOME"/.codex/state_*.sqlite*';
/** Codex takes variables from this file, which an earlier session may have written, and no flag forbids it. */
const FORGET_VARIABLES = 'rm -rf "$HOME/.codex/.env"';

const INSTRUCTIONS = `${UNATTENDED} ${LEAVE_CHANGES}`;

export function createCodex(options: CodexOptions): Agent {
  return {
    name: 'codex',
    capabilities: {
      resume: true,
      cost: false,
      models: true,
      messages: ['QUEUE', 'INTERRUPT'],
      questions: false,
      permissions: false,
    },
    modelKey: { variable: KEY, hasDefault: options.apiKey !== null },
    probe: () => probeProgram({ ...options, remedy: INSTALL }),
    open: (task) =>
      openLineRun({
        task,
        reader: createCodexReader({ model: task.model, sessionUsage: sessionUsage(task) }),
        command: () => ({
          argv: commandLine(options, task),
          cwd: task.workspace.paths.work,
          env: environment(options, task),
          stdin: task.prompt,
          redact: task.redact,
          network: task.network,
          reaches: [hostOf(addressOf(options, task))],
          files: programFiles(options.program),
        }),
      }),
  };
}

function sessionUsage({ resumeSessionId, resumedUsage }: AgentTask): Usage | null {
  return resumeSessionId === null ? null : resumedUsage;
}

function addressOf(options: CodexOptions, { modelKey }: AgentTask): string {
  return (modelKey ?? options).baseUrl ?? PROVIDER;
}

/** Never the prompt: an argument may be read as an option, is cut at 128 KiB and shows in every process list. */
function commandLine(options: CodexOptions, task: AgentTask): [string, ...string[]] {
  const { model, resumeSessionId, trustRepoConfig } = task;
  return [
    '/bin/sh',
    '-c',
    `${FORGET_PLACES}; ${trustRepoConfig ? '' : `${FORGET_VARIABLES}; `}exec "$@"`,
    'sh',
    options.program,
    'exec',
    '--json',
    '--skip-git-repo-check',
    // What an earlier session left in the home, and what the repository brings, is not obeyed.
    ...(trustRepoConfig ? ['--dangerously-bypass-hook-trust'] : ['--ignore-user-config', '--ignore-rules']),
    ...configuration(options, task).flatMap((assignment) => ['-c', assignment]),
    ...(model === null ? [] : [`--model=${model}`]),
    ...(resumeSessionId === null ? [] : ['resume', resumeSessionId]),
    '-',
  ];
}

/** Assignments in TOML. */
function configuration(options: CodexOptions, task: AgentTask): string[] {
  const { work } = task.workspace.paths;
  const settings = {
    // A provider of our own: the built-in one takes no other address and no other number of retries.
    model_provider: 'slipway',
    'model_providers.slipway.name': 'Slipway',
    'model_providers.slipway.base_url': addressOf(options, task),
    'model_providers.slipway.env_key': KEY,
    'model_providers.slipway.wire_api': 'responses',
    // Each try is one request and is told: those of a request within a try are not.
    'model_providers.slipway.request_max_retries': 0,
    'model_providers.slipway.stream_max_retries': 5,
    // What an earlier session wrote into the home's profile is not run with each command.
    allow_login_shell: false,
    developer_instructions: INSTRUCTIONS,
    approval_policy: 'never',
    // Its own sandbox does not work within ours, which keeps it from more.
    sandbox_mode: task.workspace.sandboxed ? 'danger-full-access' : 'workspace-write',
    'sandbox_workspace_write.network_access': true,
    // Other builds may be there; this one has its own.
    'sandbox_workspace_write.exclude_slash_tmp': true,
    'shell_environment_policy.inherit': 'all',
    'shell_environment_policy.exclude': [KEY],
    check_for_update_on_startup: false,
    'analytics.enabled': false,
    'history.persistence': 'none',
  };
  const trust = task.trustRepoConfig ? 'trusted' : 'untrusted';
  return [
    ...Object.entries(settings).map(([key, value]) => `${key}=${JSON.stringify(value)}`),
    `projects={${JSON.stringify(work)}={trust_level="${trust}"}}`,
  ];
}

function environment(options: CodexOptions, task: AgentTask): Record<string, string> {
  const { home, tmp } = task.workspace.paths;
  const { key } = task.modelKey ?? { key: options.apiKey };
  return { ...options.environment, ...(key === null ? {} : { [KEY]: key }), HOME: home, TMPDIR: tmp };
}
