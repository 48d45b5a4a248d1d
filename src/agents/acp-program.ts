/**
 * The program around an ACP agent: reads an AcpInput from stdin, starts the agent in the current folder, holds one turn
 * of conversation with it, and prints every message of both sides as `{"dir":…,"m":…}` on a line of its own, an AcpAsked
 * behind each request that people are to decide, and an AcpResult last. It ends with 0, with 1 after a problem, and on SIGTERM, after the turn was cancelled, with 143 and
 * without a result.
 */
import { readFileSync, realpathSync, writeFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { createAcpApprovals } from './acp-approvals.ts';
import { type AcpReply, openAcpConnection } from './acp-connection.ts';
import type { AgentReason } from './agent.ts';
import { openInbox } from './inbox.ts';
import { fieldsOf, itemsOf, type JsonFields, textOf } from './json-fields.ts';

export interface AcpInput {
  readonly command: readonly [string, ...string[]];
  readonly prompt: string;
  readonly model: string | null;
  readonly resumeSessionId: string | null;
  /** Absolute paths of the folders that it may change; the checkout first. */
  readonly folders: readonly [string, ...string[]];
  /** People decide what it may do besides. */
  readonly asksPermissions: boolean;
  /** Of the session, beside its folder: what single agents understand. */
  readonly sessionMeta: JsonFields;
  /** How long each step before the prompt may take. */
  readonly startTimeoutMs: number;
}

/** People are asked about a request of the agent, `id` in its own words; its answer follows when they have decided. */
export interface AcpAsked {
  readonly type: 'asked';
  readonly id: unknown;
  readonly requestId: string;
}

/** The last line. An error that the agent answered with stands in its message. */
export interface AcpResult {
  readonly type: 'result';
  readonly problem: AcpProblem | null;
}

export interface AcpProblem {
  readonly reason: AgentReason;
  readonly message: string;
}

const PROTOCOL_VERSION = 1;
/** SIGTERM to SIGKILL are five seconds: this, and then half a second each for its end in peace and by SIGTERM. */
const CANCEL_MS = 3_000;
const HASTY_CLOSE_MS = 500;
/** Codex takes two seconds to save its session. */
const CLOSE_MS = 4_000;

// A message cannot be added to a turn: the protocol has no word for it.
openInbox((word) => {
  if (word.type === 'decision') approvals.decide(word);
});
const input = JSON.parse(readFileSync(0, 'utf8')) as AcpInput;
const approvals = createAcpApprovals({
  // As they are named and as they are: agents say either.
  folders: [...input.folders, ...input.folders.map((folder) => realpathSync(folder))],
  asks: input.asksPermissions,
  onAsked: (id, requestId) => print(JSON.stringify({ type: 'asked', id, requestId } satisfies AcpAsked)),
});
let promptedSession: string | null = null;
let isStopping = false;

const connection = openAcpConnection({
  command: input.command,
  stderr: 'inherit',
  answer: ({ id, method, params }) => (method === 'session/request_permission' ? approvals.answer(id, params) : null),
  onNotification: (method, params) => {
    if (method === '$/cancel_request') approvals.withdraw(params.requestId);
  },
  onMessage: (dir, json) => print(`{"dir":"${dir}","m":${json}}`),
  onGarbage: (line) =>
    print(line ?? JSON.stringify({ type: 'warning', message: 'A line was too long and was ignored.' })),
});
const conversation = converse();
process.on('SIGTERM', () => void stop());
const problem = await conversation;
if (!isStopping) {
  print(JSON.stringify({ type: 'result', problem } satisfies AcpResult));
  await connection.close(problem === null ? CLOSE_MS : HASTY_CLOSE_MS);
  process.exit(problem === null ? 0 : 1);
}

async function stop(): Promise<void> {
  if (isStopping) return;
  isStopping = true;
  if (promptedSession !== null) {
    connection.notify('session/cancel', { sessionId: promptedSession });
    approvals.cancel();
    await Promise.race([conversation, delay(CANCEL_MS)]);
  }
  await connection.close(HASTY_CLOSE_MS);
  process.exit(143);
}

/** Null when the agent has ended its turn. */
async function converse(): Promise<AcpProblem | null> {
  const agent = await ask('initialize', {
    protocolVersion: PROTOCOL_VERSION,
    clientCapabilities: { fs: { readTextFile: false, writeTextFile: false }, terminal: false },
    clientInfo: { name: 'slipway', version: '1' },
  });
  if (!agent.ok) return agent.why === 'timeout' ? { ...problemOf(agent), reason: 'unavailable' } : problemOf(agent);
  if (agent.result.protocolVersion !== PROTOCOL_VERSION) {
    const version = JSON.stringify(agent.result.protocolVersion) ?? 'none';
    return {
      reason: 'config',
      message: `The agent speaks version ${version} of ACP, and Slipway ${PROTOCOL_VERSION}.`,
    };
  }
  const canLoad = fieldsOf(agent.result.agentCapabilities)?.loadSession === true;
  if (input.resumeSessionId !== null && !canLoad) {
    return { reason: 'config', message: 'The agent cannot go on with an earlier session (loadSession).' };
  }
  const session = await openSession();
  if (!session.ok) return problemOf(session);
  const sessionId = input.resumeSessionId ?? textOf(session.result.sessionId);
  if (sessionId === null) return { reason: 'agent_error', message: 'The agent opened a session without an id.' };
  const unfit = input.model === null ? null : await chooseModel(session.result, { sessionId, model: input.model });
  if (unfit) return unfit;
  promptedSession = sessionId;
  if (isStopping) return null;
  const prompt = [{ type: 'text', text: input.prompt }];
  const turn = await connection.request('session/prompt', { sessionId, prompt }, null);
  promptedSession = null;
  return turn.ok ? null : problemOf(turn);
}

/** A new session, or the earlier one to go on with. */
function openSession(): Promise<AcpReply> {
  const { resumeSessionId, sessionMeta } = input;
  const params = { cwd: input.folders[0], mcpServers: [], _meta: sessionMeta };
  if (resumeSessionId === null) return ask('session/new', params);
  return ask('session/load', { sessionId: resumeSessionId, ...params });
}

/** Agents offer models as one of their settings, or in a list of their own. */
async function chooseModel(
  session: JsonFields,
  { sessionId, model }: { readonly sessionId: string; readonly model: string },
): Promise<AcpProblem | null> {
  const setting = textOf(itemsOf(session.configOptions).find(({ category }) => category === 'model')?.id);
  if (setting === null && !fieldsOf(session.models)) {
    return { reason: 'config', message: 'The agent lets nobody choose its model: leave the model out.' };
  }
  const reply =
    setting === null
      ? await ask('session/set_model', { sessionId, modelId: model })
      : await ask('session/set_config_option', { sessionId, configId: setting, value: model });
  return reply.ok ? null : problemOf(reply);
}

function ask(method: string, params: JsonFields): Promise<AcpReply> {
  return connection.request(method, params, input.startTimeoutMs);
}

function problemOf({ why, message }: Extract<AcpReply, { ok: false }>): AcpProblem {
  switch (why) {
    case 'not_started':
      return { reason: 'unavailable', message };
    case 'timeout':
      return { reason: 'idle', message };
    case 'ended':
      return { reason: 'crash', message };
    case 'deaf':
    case 'refused':
      return { reason: 'agent_error', message };
  }
}

/** Whole, or it throws: on a full disk a stream of Node writes what has room and forgets the rest. */
function print(line: string): void {
  writeFileSync(process.stdout.fd, `${line}\n`);
}
