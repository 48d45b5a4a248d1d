/** OpenCode: a server of its own for every run, which a program of ours talks with inside the run's sandbox. */
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Agent, AgentRun, AgentTask } from './agent.ts';
import { endedRun } from './ended-run.ts';
import { hostOf } from './host-of.ts';
import { openLineRun } from './line-agent.ts';
import {
  chooseModel,
  OPENCODE_KEY,
  type OpenCodeAccess,
  type OpenCodeModel,
  openCodeConfig,
} from './opencode-config.ts';
import type { OpenCodeInput } from './opencode-program.ts';
import { createOpenCodeReader } from './opencode-stream.ts';
import { probeProgram } from './probe-program.ts';
import { failed, outcomeOf } from './verdict.ts';

export interface OpenCodeOptions {
  /** The program: an absolute path, or a name that is found in PATH of `environment`. */
  readonly program: string;
  /** PATH, LANG and what else the operator lets an agent see. Nothing is inherited. */
  readonly environment: Readonly<Record<string, string>>;
  readonly access: OpenCodeAccess;
}

/** Published, the sources are JavaScript. */
const EXTENSION = extname(import.meta.url);
const source = (name: string) => fileURLToPath(new URL(`${name}${EXTENSION}`, import.meta.url));
const PROGRAM = source('./opencode-program');
/** What the program imports: in the sandbox nothing else of Slipway is there. */
const IMPORTED = [
  ...['./opencode-client', './opencode-relay', './opencode-server', './json-fields', '../std/line-splitter'].map(
    source,
  ),
  fileURLToPath(new URL('../../package.json', import.meta.url)),
];

/** OpenCode itself tries for ever. */
const MAX_RETRIES = 3;
const INSTALL = 'Install it with `npm install --global opencode-ai` on the worker.';

const INSTRUCTIONS =
  'You work unattended: nobody can answer questions. Follow AGENTS.md or CLAUDE.md in the working directory if there ' +
  'is one. Leave your changes in the working tree: do not commit, push or switch branches; that is done for you.';

export function createOpenCode(options: OpenCodeOptions): Agent {
  const { access } = options;
  const keys = [access.apiKey, access.anthropic.apiKey, access.openai.apiKey];
  return {
    name: 'opencode',
    capabilities: { resume: true, cost: true, models: true, messages: false, permissions: false },
    modelKey: {
      variable: OPENCODE_KEY,
      // A model on this machine needs no key.
      hasDefault: keys.some((key) => key !== null) || Object.keys(access.providers).length > 0,
    },
    probe: () => probeProgram({ ...options, remedy: INSTALL }),
    open: (task) => open(options, task),
  };
}

async function open(options: OpenCodeOptions, task: AgentTask): Promise<AgentRun> {
  const chosen = chooseModel(options.access, task.model, task.modelKey);
  if (!chosen.ok) {
    const facts = { finalText: '', sessionId: null, usage: null, denials: [] };
    return endedRun(outcomeOf(failed('config', chosen.message), facts));
  }
  const { model } = chosen;
  return openLineRun({
    task,
    reader: createOpenCodeReader(),
    command: () => ({
      argv: [process.execPath, PROGRAM],
      cwd: task.workspace.paths.work,
      env: environment(options, task, model),
      stdin: JSON.stringify(programInput(options, task, model)),
      redact: task.redact,
      network: task.network,
      reaches: [hostOf(model.baseUrl)],
      files: [PROGRAM, ...IMPORTED, ...(options.program.startsWith('/') ? [options.program] : [])],
    }),
  });
}

function programInput(options: OpenCodeOptions, task: AgentTask, model: OpenCodeModel): OpenCodeInput {
  const { work, tmp } = task.workspace.paths;
  const { providerID, modelID } = model;
  return {
    program: options.program,
    config: openCodeConfig(model),
    directory: work,
    scratch: join(tmp, 'opencode'),
    // With a title OpenCode does not ask the model for one.
    title: `Build ${task.workspace.buildId}`,
    prompt: task.prompt,
    system: INSTRUCTIONS,
    model: { providerID, modelID },
    permission: permissionRules(task),
    resumeSessionId: task.resumeSessionId,
    ...task.limits,
    maxRetries: MAX_RETRIES,
  };
}

/** The last rule that fits decides. Whatever would ask is denied: nobody is there to answer. */
function permissionRules({ workspace: { paths } }: AgentTask): OpenCodeInput['permission'] {
  const rule = (permission: string, pattern: string, action: 'allow' | 'deny') => ({ permission, pattern, action });
  return [
    rule('*', '*', 'allow'),
    rule('question', '*', 'deny'),
    rule('plan_enter', '*', 'deny'),
    rule('plan_exit', '*', 'deny'),
    rule('external_directory', '*', 'deny'),
    rule('external_directory', `${paths.tmp}/*`, 'allow'),
    // Where OpenCode puts output that is too long for the model.
    rule('external_directory', `${paths.home}/.local/share/opencode/tool-output/*`, 'allow'),
  ];
}

function environment(options: OpenCodeOptions, task: AgentTask, { key }: OpenCodeModel): Record<string, string> {
  const { home, tmp } = task.workspace.paths;
  return {
    ...options.environment,
    ...(key === null ? {} : { [OPENCODE_KEY]: key }),
    HOME: home,
    TMPDIR: tmp,
    ...(task.trustRepoConfig ? {} : { OPENCODE_DISABLE_PROJECT_CONFIG: '1', OPENCODE_PURE: '1' }),
    OPENCODE_DISABLE_AUTOUPDATE: '1',
    OPENCODE_DISABLE_MODELS_FETCH: '1',
    OPENCODE_DISABLE_LSP_DOWNLOAD: '1',
    OPENCODE_DISABLE_DEFAULT_PLUGINS: '1',
    OPENCODE_DISABLE_CLAUDE_CODE: '1',
    OPENCODE_DISABLE_SHARE: '1',
    OPENCODE_EXPERIMENTAL_DISABLE_FILEWATCHER: '1',
  };
}
