/**
 * Gemini CLI, run once per build without a terminal: prompt in by stdin, stream-json out. What a repository configures is
 * obeyed only in a folder that Gemini trusts, and there it is all or nothing: hooks, servers, variables. So it runs in a
 * folder that it does not trust, with a policy in place of the approval mode that an untrusted folder may not have.
 */
import { fileURLToPath } from 'node:url';
import type { Agent, AgentTask } from './agent.ts';
import { createGeminiReader } from './gemini-stream.ts';
import { hostOf } from './host-of.ts';
import { LEAVE_CHANGES, UNATTENDED } from './instructions.ts';
import { openLineRun } from './line-agent.ts';
import { probeProgram } from './probe-program.ts';
import { programFiles } from './program-files.ts';

export interface GeminiOptions {
  /** The program: an absolute path, or a name that is found in PATH of `environment`. */
  readonly program: string;
  /** PATH, LANG and what else the operator lets an agent see. Nothing is inherited. */
  readonly environment: Readonly<Record<string, string>>;
  readonly apiKey: string | null;
  /** A gateway instead of the provider's own address. */
  readonly baseUrl: string | null;
}

const PROVIDER = 'https://generativelanguage.googleapis.com';
const INSTALL = 'Install it with `npm install --global @google/gemini-cli` on the worker.';

const pathOf = (name: string) => fileURLToPath(new URL(`./${name}`, import.meta.url));
const SETTINGS = pathOf('gemini-settings.json');
/** Where the repository's own count. */
const TRUSTING_SETTINGS = pathOf('gemini-trusting-settings.json');
const POLICY = pathOf('gemini-policy.toml');

/** Before the prompt, which then never begins with the `/` of a command. */
const INSTRUCTIONS =
  `${UNATTENDED} Follow AGENTS.md or GEMINI.md in the working directory if there is one. ${LEAVE_CHANGES} Your file tools ` +
  'refuse to change build files such as package.json, Makefile or Dockerfile: change those with shell commands.';

/**
 * - Settings: in place of what an earlier session may have written. They are those of the user, for Gemini takes none of
 *   the system that do not lie in a folder of root.
 * - Sessions belong to a folder, by three kinds of files. Without them they belong to the one in which Gemini is started.
 */
const START = [
  'set -e; mkdir -p "$HOME/.gemini"; cd "$HOME/.gemini"',
  'rm -rf settings.json .env ../.env; cp "$0" settings.json',
  'rm -f projects.json tmp/*/.project_root history/*/.project_root',
  'cd "$OLDPWD"; exec "$@"',
].join('; ');

export function createGemini(options: GeminiOptions): Agent {
  return {
    name: 'gemini',
    capabilities: {
      resume: true,
      cost: false,
      models: true,
      messages: ['QUEUE', 'INTERRUPT'],
      questions: false,
      permissions: false,
    },
    modelKey: { variable: 'GEMINI_API_KEY', hasDefault: options.apiKey !== null },
    probe: () => probeProgram({ ...options, remedy: INSTALL }),
    open: (task) =>
      openLineRun({
        task,
        reader: createGeminiReader(),
        command: () => ({
          argv: commandLine(options, task),
          cwd: task.workspace.paths.work,
          env: environment(options, task),
          stdin: `${INSTRUCTIONS}\n\n${task.prompt}`,
          redact: task.redact,
          network: task.network,
          reaches: [hostOf(addressOf(options, task))],
          files: [...programFiles(options.program), SETTINGS, TRUSTING_SETTINGS, POLICY],
        }),
      }),
  };
}

function addressOf(options: GeminiOptions, { modelKey }: AgentTask): string {
  return (modelKey ?? options).baseUrl ?? PROVIDER;
}

/** Never the prompt: an argument may be read as an option, is cut at 128 KiB and shows in every process list. */
function commandLine(options: GeminiOptions, task: AgentTask): [string, ...string[]] {
  const { model, sessionId, resumeSessionId, trustRepoConfig } = task;
  const { start: programs } = task.workspace.programs;
  return [
    '/bin/sh',
    '-c',
    START,
    programs.find(trustRepoConfig ? TRUSTING_SETTINGS : SETTINGS),
    options.program,
    '--output-format=stream-json',
    resumeSessionId === null ? `--session-id=${sessionId}` : `--resume=${resumeSessionId}`,
    ...(trustRepoConfig ? ['--approval-mode=yolo'] : [`--policy=${programs.find(POLICY)}`, '--extensions=none']),
    ...(model === null ? [] : [`--model=${model}`]),
  ];
}

function environment(options: GeminiOptions, task: AgentTask): Record<string, string> {
  const { home, tmp } = task.workspace.paths;
  const { key } = task.modelKey ?? { key: options.apiKey };
  const { maxTurns } = task.limits;
  return {
    ...options.environment,
    ...(key === null ? {} : { GEMINI_API_KEY: key }),
    // Always: a repository that is trusted may bring variables, but not those that are set.
    GOOGLE_GEMINI_BASE_URL: addressOf(options, task),
    HOME: home,
    TMPDIR: tmp,
    GEMINI_CLI_TRUST_WORKSPACE: String(task.trustRepoConfig),
    ...(maxTurns === null ? {} : { SLIPWAY_MAX_TURNS: String(maxTurns) }),
    // Otherwise it starts itself as a child, which no signal to the parent reaches.
    GEMINI_CLI_NO_RELAUNCH: 'true',
    GEMINI_SANDBOX: 'false',
    NO_BROWSER: 'true',
  };
}
