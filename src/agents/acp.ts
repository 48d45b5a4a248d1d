/** Any agent that speaks the Agent Client Protocol (ACP) on stdin and stdout: configured by a command line. */
import { isAbsolute } from 'node:path';
import type { AcpInput } from './acp-program.ts';
import { createAcpReader } from './acp-stream.ts';
import type { Agent, AgentRun, AgentTask } from './agent.ts';
import { endedRun } from './ended-run.ts';
import { hostOf } from './host-of.ts';
import { FOLLOW_REPOSITORY, LEAVE_CHANGES, UNATTENDED } from './instructions.ts';
import { openLineRun } from './line-agent.ts';
import { ownProgram } from './own-program.ts';
import { probeAcpAgent } from './probe-acp-agent.ts';
import { failed, outcomeOf } from './verdict.ts';

export interface AcpOptions {
  /** The provider's name is `acp:` and this. */
  readonly name: string;
  /** The program, an absolute path or a name in PATH of `environment`, and its arguments. */
  readonly command: readonly [string, ...string[]];
  /** PATH, LANG and what else the operator lets an agent see. Nothing is inherited. */
  readonly environment: Readonly<Record<string, string>>;
  /** The variable in which it takes its key; null: it needs none. */
  readonly keyVariable: string | null;
  /** The variable in which it takes the address of its model; null: it takes none. */
  readonly baseUrlVariable: string | null;
  /** `host:port` of its model, where a key says no other address. */
  readonly reaches: readonly string[];
  readonly apiKey: string | null;
  /** A gateway instead of the provider's own address. */
  readonly baseUrl: string | null;
  /** How long each step before the prompt may take. Default 60 s. */
  readonly startTimeoutMs?: number;
}

const START_TIMEOUT_MS = 60_000;

const PROGRAM = ownProgram('./acp-program', [
  './acp-approvals',
  './acp-connection',
  './acp-permission',
  './acp-process',
  './inbox',
  './json-fields',
  '../std/line-splitter',
]);

/** The adapter of Claude Code tells nothing of a provider that refuses it, unless it is asked for these messages. */
const RETRIES = [{ type: 'system', subtype: 'api_retry' }];

/**
 * It stands before the prompt, in one text with it: the protocol has no other place, and a text that does not begin with
 * the prompt is no command of the agent, whatever the prompt begins with.
 */
const INSTRUCTIONS = `${UNATTENDED} ${FOLLOW_REPOSITORY} ${LEAVE_CHANGES} Your task:\n\n`;

export function createAcpAgent(options: AcpOptions): Agent {
  const { keyVariable } = options;
  return {
    name: `acp:${options.name}`,
    // Some agents can do less, and say so when they are asked; some tell their cost, and then it is counted.
    capabilities: {
      resume: true,
      cost: false,
      models: true,
      messages: ['QUEUE', 'INTERRUPT'],
      questions: false,
      // An agent that asks for none has all: then its sandbox is what holds it.
      permissions: true,
    },
    modelKey: keyVariable === null ? null : { variable: keyVariable, hasDefault: options.apiKey !== null },
    probe: () => probeAcpAgent(options),
    open: (task) => open(options, task),
  };
}

async function open(options: AcpOptions, task: AgentTask): Promise<AgentRun> {
  const { workspace, resumeSessionId } = task;
  const { work, home, tmp } = workspace.paths;
  const given = keyOf(options, task);
  if (given.baseUrl !== null && options.baseUrlVariable === null) {
    const message =
      `The key of acp:${options.name} is for ${new URL(given.baseUrl).origin}, and nobody knows how to tell it so: ` +
      'SLIPWAY_ACP_AGENTS has no baseUrlVariable for it.';
    return endedRun(outcomeOf(failed('config', message), { finalText: '', sessionId: null, usage: null, denials: [] }));
  }
  const input: AcpInput = {
    command: options.command,
    prompt: `${INSTRUCTIONS}${task.prompt}`,
    model: task.model,
    resumeSessionId,
    folders: [work, home, tmp],
    asksPermissions: task.asks.permissions,
    sessionMeta: sessionMeta(task),
    startTimeoutMs: options.startTimeoutMs ?? START_TIMEOUT_MS,
  };
  return openLineRun({
    task,
    reader: createAcpReader({
      name: `acp:${options.name}`,
      earlierUsage: task.resumedUsage,
      isResumed: resumeSessionId !== null,
    }),
    command: () => ({
      argv: PROGRAM.argv(task.workspace),
      cwd: work,
      env: {
        ...options.environment,
        ...modelVariables(options, given),
        HOME: home,
        TMPDIR: tmp,
        XDG_RUNTIME_DIR: tmp,
      },
      stdin: JSON.stringify(input),
      redact: task.redact,
      network: task.network,
      reaches: given.baseUrl === null ? options.reaches : [hostOf(given.baseUrl)],
      inbox: true,
      files: [...PROGRAM.files, ...options.command.slice(0, 1).filter((program) => isAbsolute(program))],
    }),
  });
}

/** A key and where it may be sent are of one origin. */
function keyOf({ apiKey, baseUrl }: AcpOptions, { modelKey }: AgentTask) {
  return modelKey ?? { key: apiKey, baseUrl };
}

function modelVariables(
  { keyVariable, baseUrlVariable }: AcpOptions,
  { key, baseUrl }: ReturnType<typeof keyOf>,
): Record<string, string> {
  return {
    ...(keyVariable === null || key === null ? {} : { [keyVariable]: key }),
    ...(baseUrlVariable === null || baseUrl === null ? {} : { [baseUrlVariable]: baseUrl }),
  };
}

/**
 * The adapter of Claude Code would run the hooks and servers of the repository, and takes the sources against it. Others
 * ignore it: what keeps them from it stands in their command line.
 */
function sessionMeta({ trustRepoConfig }: AgentTask): AcpInput['sessionMeta'] {
  const options = trustRepoConfig ? {} : { settingSources: [] };
  return { claudeCode: { options, emitRawSDKMessages: RETRIES } };
}
