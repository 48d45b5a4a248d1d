/** OpenCode: a server of its own for every run, which a program of ours talks with inside the run's sandbox. */
import { join } from 'node:path';
import { MESSAGE_MODES } from '../events/vocabulary.ts';
import type { Agent, AgentRun, AgentTask } from './agent.ts';
import { endedRun } from './ended-run.ts';
import { hostOf } from './host-of.ts';
import { attended, FOLLOW_REPOSITORY, LEAVE_CHANGES, UNATTENDED } from './instructions.ts';
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
import { ownProgram } from './own-program.ts';
import { probeProgram } from './probe-program.ts';
import { failed, outcomeOf } from './verdict.ts';

export interface OpenCodeOptions {
  /** The program: an absolute path, or a name that is found in PATH of `environment`. */
  readonly program: string;
  /** PATH, LANG and what else the operator lets an agent see. Nothing is inherited. */
  readonly environment: Readonly<Record<string, string>>;
  readonly access: OpenCodeAccess;
}

const PROGRAM = ownProgram('./opencode-program', [
  './inbox',
  './json-fields',
  './opencode-answers',
  './opencode-client',
  './opencode-relay',
  './opencode-server',
  './opencode-steering',
  '../std/line-splitter',
]);

/** OpenCode itself tries for ever. */
const MAX_RETRIES = 3;
const INSTALL = 'Install it with `npm install --global opencode-ai` on the worker.';

const INSTRUCTIONS = `${FOLLOW_REPOSITORY} ${LEAVE_CHANGES}`;

/** What a build that asks for permissions asks for, besides folders that are not its own. */
const ASKED_TOOLS = ['bash', 'webfetch', 'websearch'];

export function createOpenCode(options: OpenCodeOptions): Agent {
  const { access } = options;
  const keys = [access.apiKey, access.anthropic.apiKey, access.openai.apiKey];
  return {
    name: 'opencode',
    capabilities: {
      resume: true,
      cost: true,
      models: true,
      messages: MESSAGE_MODES,
      questions: true,
      permissions: true,
    },
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
    reader: createOpenCodeReader(task.asks),
    command: () => ({
      argv: PROGRAM.argv(task.workspace),
      cwd: task.workspace.paths.work,
      env: environment(options, task, model),
      stdin: JSON.stringify(programInput(options, task, model)),
      redact: task.redact,
      network: task.network,
      reaches: [hostOf(model.baseUrl)],
      inbox: true,
      files: [...PROGRAM.files, ...(options.program.startsWith('/') ? [options.program] : [])],
    }),
  });
}

function programInput(options: OpenCodeOptions, task: AgentTask, model: OpenCodeModel): OpenCodeInput {
  const { work, tmp } = task.workspace.paths;
  const { providerID, modelID } = model;
  const { asks } = task;
  return {
    program: options.program,
    config: openCodeConfig(model, asks.permissions ? ASKED_TOOLS : []),
    directory: work,
    scratch: join(tmp, 'opencode'),
    // With a title OpenCode does not ask the model for one.
    title: `Build ${task.workspace.buildId}`,
    prompt: task.prompt,
    system: `${asks.questions ? attended('the question tool') : UNATTENDED} ${INSTRUCTIONS}`,
    asks,
    model: { providerID, modelID },
    permission: permissionRules(task),
    resumeSessionId: task.resumeSessionId,
    ...task.limits,
    maxRetries: MAX_RETRIES,
  };
}

/** The last rule that fits decides. Where nobody is there to answer, what would ask is denied. */
function permissionRules({ asks, workspace: { paths } }: AgentTask): OpenCodeInput['permission'] {
  const rule = (permission: string, pattern: string, action: 'allow' | 'ask' | 'deny') => ({
    permission,
    pattern,
    action,
  });
  return [
    rule('*', '*', 'allow'),
    ...(asks.permissions ? ASKED_TOOLS.map((permission) => rule(permission, '*', 'ask')) : []),
    rule('question', '*', asks.questions ? 'allow' : 'deny'),
    rule('plan_enter', '*', 'deny'),
    rule('plan_exit', '*', 'deny'),
    rule('external_directory', '*', asks.permissions ? 'ask' : 'deny'),
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
