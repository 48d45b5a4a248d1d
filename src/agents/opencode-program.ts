/**
 * The OpenCode agent's program: reads its input from stdin, starts an OpenCode server, has one turn of conversation with
 * it and prints what happened, one JSON object per line: OpenCode's own events, and lines of ours (`OpenCodeLine`). People
 * add to the turn, and answer what it asks, by its inbox. It
 * ends with 0 after a last line `result`, with 1 when there is no result, and with 143 and without one on SIGTERM.
 */
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { AgentReason, AgentTask, AgentWord } from './agent.ts';
import { openInbox } from './inbox.ts';
import { fieldsOf, itemsOf, type JsonFields, textOf } from './json-fields.ts';
import { createOpenCodeAnswers, type OpenCodeAnswers } from './opencode-answers.ts';
import { createOpenCodeClient, type OpenCodeClient } from './opencode-client.ts';
import { createOpenCodeRelay, hasEnded, type OpenCodeLimit, type OpenCodeRelay } from './opencode-relay.ts';
import { type OpenCodeServer, OpenCodeStartError, startOpenCodeServer } from './opencode-server.ts';
import { createOpenCodeSteering } from './opencode-steering.ts';

export interface OpenCodeInput {
  readonly program: string;
  readonly config: Readonly<Record<string, unknown>>;
  /** The checkout. */
  readonly directory: string;
  /** A folder of this run for OpenCode's settings and caches. */
  readonly scratch: string;
  readonly title: string;
  readonly prompt: string;
  readonly system: string;
  readonly model: { readonly providerID: string; readonly modelID: string };
  readonly permission: readonly { readonly permission: string; readonly pattern: string; readonly action: string }[];
  /** What people are there to answer. */
  readonly asks: AgentTask['asks'];
  /** An earlier build's session, to go on with. */
  readonly resumeSessionId: string | null;
  readonly maxTurns: number | null;
  readonly maxCostUsd: number | null;
  readonly maxRetries: number;
}

/** The lines that are not events of OpenCode. */
export type OpenCodeLine =
  | { readonly type: 'started'; readonly sessionId: string; readonly version: string | null; readonly model: string }
  | { readonly type: 'limit'; readonly limit: OpenCodeLimit }
  /** The model is asked with a message of people. */
  | { readonly type: 'took'; readonly messageId: string }
  | { readonly type: 'failure'; readonly reason: AgentReason; readonly message: string }
  /** The session is idle, and its last message is told. */
  | { readonly type: 'result' };

interface Conversation {
  readonly client: OpenCodeClient;
  readonly relay: OpenCodeRelay;
  readonly answers: OpenCodeAnswers;
  readonly sessionId: string;
}

class ConversationError extends Error {
  readonly reason: AgentReason;
  constructor(reason: AgentReason, message: string) {
    super(message);
    this.reason = reason;
  }
}

const MAX_RECONNECTS = 100;
const RECONNECT_MS = 200;
/** From the word that the session is idle until its last message is complete. */
const SETTLE_MS = 3_000;
const SETTLE_EVERY_MS = 50;
const SOFT_STOP_MS = 3_000;

let conversation: Conversation | null = null;
let stopping = false;
let idle: () => void = () => {};
const isIdle = new Promise<void>((tell) => {
  idle = tell;
});

process.on('SIGTERM', () => void stop());
const steering = createOpenCodeSteering((text) => prompt(text));
openInbox(hear);
const input = JSON.parse(readFileSync(0, 'utf8')) as OpenCodeInput;
let server: OpenCodeServer | null = null;
try {
  server = await startOpenCodeServer(input);
  await converse(server);
  if (!stopping) emit({ type: 'result' });
} catch (error) {
  process.exitCode = 1;
  if (error instanceof OpenCodeStartError || error instanceof ConversationError) {
    emit({ type: 'failure', reason: error.reason, message: error.message });
  } else process.stderr.write(`${error instanceof Error ? error.message : error}\n`);
}
// Whoever stops us ends the server, too, and says how we ended.
if (stopping) await new Promise(() => {});
await server?.end();
process.exit();

/** The turn is cancelled, which also ends its tools; what it still has to say of that is printed meanwhile. */
async function stop(): Promise<void> {
  if (stopping) return;
  stopping = true;
  steering.end();
  if (conversation) {
    const { client, sessionId } = conversation;
    const aborted = client.call('POST', `/session/${sessionId}/abort`).then(() => isIdle);
    await Promise.race([aborted.catch(() => {}), delay(SOFT_STOP_MS)]);
  }
  await server?.end();
  process.exit(143);
}

async function converse(running: OpenCodeServer): Promise<void> {
  const { directory, model } = input;
  if (input.resumeSessionId !== null) await keepProject(running, input.resumeSessionId);
  const client = createOpenCodeClient({ url: running.url, password: running.password, directory });
  const events = follow(client, running);
  // The stream is open before anything happens, or the beginning would be missed.
  await events.next();
  const session = await openSession(client);
  const sessionId = textOf(session.id) ?? '';
  const relay = createOpenCodeRelay(sessionId, input);
  const answers = createOpenCodeAnswers({ client, relay, asks: input.asks });
  conversation = { client, relay, answers, sessionId };
  const name = `${model.providerID}/${model.modelID}`;
  emit({ type: 'started', sessionId, version: textOf(session.version), model: name });
  if (input.resumeSessionId !== null) for (const message of await readMessages(sessionId)) forget(message);
  await prompt(input.prompt);
  steering.begin(sessionId);
  for await (const event of events) {
    if (event.type === 'server.connected' && (await catchUp())) break;
    await take(event);
    if (await cutOff()) break;
    const isIdle = event.type === 'session.idle' && fieldsOf(event.properties)?.sessionID === sessionId;
    if (isIdle && (await isOver())) break;
  }
  steering.end();
  await settle();
  idle();
}

async function prompt(text: string): Promise<void> {
  const { client, sessionId } = talking();
  const { model, system } = input;
  const message = { model, system, parts: [{ type: 'text', text }] };
  okay(await client.call('POST', `/session/${sessionId}/prompt_async`, message), 'config');
}

function forget(message: JsonFields): void {
  talking().relay.forget(message);
  steering.takeMessage(message);
}

async function take(event: JsonFields): Promise<void> {
  const { relay, answers } = talking();
  tell(relay.take(event));
  tellTaken(steering.take(event));
  await answers.refuse(event);
}

function takeMessages(messages: readonly JsonFields[]): void {
  for (const message of messages) {
    tell(talking().relay.takeMessage(message));
    tellTaken(steering.takeMessage(message));
  }
}

/** Events of all connections, each of which begins with `server.connected`. Throws when the server is gone. */
async function* follow(client: OpenCodeClient, { isAlive }: OpenCodeServer): AsyncGenerator<JsonFields> {
  for (let connection = 0; connection < MAX_RECONNECTS; connection++) {
    if (connection > 0) await delay(RECONNECT_MS);
    if (!isAlive()) throw new Error('The OpenCode server is gone.');
    try {
      yield* client.events();
    } catch (error) {
      process.stderr.write(`The events of OpenCode were lost: ${error instanceof Error ? error.message : error}\n`);
    }
  }
  throw new Error('The events of OpenCode were lost too often.');
}

/**
 * OpenCode lets a session go to another folder of the same project only, which it knows by the first commit: the checkout
 * of a later build has one where that of the first had none. A name that is there already goes before it.
 */
async function keepProject({ url, password }: OpenCodeServer, sessionId: string): Promise<void> {
  const { directory, scratch } = input;
  const git = join(directory, '.git');
  if (!statSync(git, { throwIfNoEntry: false })?.isDirectory()) return;
  // A call for the checkout itself would give it a name.
  const elsewhere = createOpenCodeClient({ url, password, directory: scratch });
  const earlier = fieldsOf((await elsewhere.call('GET', `/session/${encodeURIComponent(sessionId)}`)).body);
  const project = textOf(earlier?.projectID);
  if (project !== null && earlier?.directory !== directory) writeFileSync(join(git, 'opencode'), project);
}

/** An earlier session comes with its home, and still belongs to the folder in which it began. */
async function openSession(client: OpenCodeClient): Promise<JsonFields> {
  const { title, permission, resumeSessionId, directory } = input;
  const rules = { title, permission };
  if (resumeSessionId === null) return okay(await client.call('POST', '/session', rules), 'config');
  const path = `/session/${encodeURIComponent(resumeSessionId)}`;
  const earlier = okay(await client.call('GET', path), 'not_found');
  if (earlier.directory !== directory) {
    const move = { sessionID: earlier.id, destination: { directory } };
    okay(await client.call('POST', '/experimental/control-plane/move-session', move), 'not_found');
  }
  const session = okay(await client.call('PATCH', path, rules), 'not_found');
  if (session.directory === directory) return session;
  throw new ConversationError('not_found', 'OpenCode cannot go on with the session in another folder.');
}

/** What happened while nobody listened; true when the turn has ended. */
async function catchUp(): Promise<boolean> {
  const { client, relay } = talking();
  for (const id of relay.sessions) {
    const children = await client.call('GET', `/session/${id}/children`);
    for (const child of itemsOf(children.body)) relay.follow(textOf(child.id) ?? '');
    takeMessages(await readMessages(id));
  }
  await catchUpRequests();
  if (await isBusy()) return false;
  return steering.isPending() ? isOver() : lastHasEnded();
}

/** What is asked and was not heard, and what was answered meanwhile. */
async function catchUpRequests(): Promise<void> {
  const { client, relay } = talking();
  const left = new Set<string>();
  for (const kind of ['permission', 'question']) {
    const { body } = await client.call('GET', `/${kind}`);
    if (!Array.isArray(body)) return;
    for (const request of itemsOf(body)) {
      left.add(textOf(request.id) ?? '');
      await take({ type: `${kind}.asked`, properties: request });
    }
  }
  tell(relay.closeOthers(left));
}

/** A session that is idle has no status; an answer that is none says nothing. */
async function isBusy(): Promise<boolean> {
  const { client, sessionId } = talking();
  const status = fieldsOf((await client.call('GET', '/session/status')).body);
  return status === null || status[sessionId] !== undefined;
}

/** The session has become idle. A message that came too late for the turn has begun another one, or was lost. */
async function isOver(): Promise<boolean> {
  if (stopping || !steering.isPending()) return true;
  const deadline = performance.now() + SETTLE_MS;
  do {
    if (await isBusy()) return false;
    takeMessages(await readMessages(talking().sessionId));
    await delay(SETTLE_EVERY_MS);
  } while (steering.isPending() && performance.now() < deadline);
  return !(await isBusy());
}

/** What people say. An answer to nothing that was asked is none. */
function hear(word: AgentWord): void {
  if (word.type === 'message') steering.push(word);
  else void conversation?.answers.reply(word);
}

/** Cancels the turn when it has reached a cap. */
async function cutOff(): Promise<boolean> {
  const { client, relay, sessionId } = talking();
  const limit = relay.limit();
  if (limit === null || stopping) return false;
  emit({ type: 'limit', limit });
  await client.call('POST', `/session/${sessionId}/abort`);
  return true;
}

/** OpenCode says that it is idle a moment before the last message is complete. */
async function settle(): Promise<void> {
  const { sessionId } = talking();
  const deadline = performance.now() + SETTLE_MS;
  while (!(await lastHasEnded()) && performance.now() < deadline) await delay(SETTLE_EVERY_MS);
  takeMessages(await readMessages(sessionId));
}

async function lastHasEnded(): Promise<boolean> {
  const last = fieldsOf((await readMessages(talking().sessionId)).at(-1)?.info);
  return last?.role === 'assistant' && hasEnded(last);
}

async function readMessages(sessionId: string): Promise<readonly JsonFields[]> {
  const { body } = await talking().client.call('GET', `/session/${sessionId}/message`);
  return Array.isArray(body) ? body.map(fieldsOf).filter((message) => message !== null) : [];
}

function okay({ status, body }: { readonly status: number; readonly body: unknown }, reason: AgentReason): JsonFields {
  if (status < 300) return fieldsOf(body) ?? {};
  const error = fieldsOf(body);
  const message = textOf(fieldsOf(error?.data)?.message) ?? textOf(error?.message) ?? 'no reason given';
  throw new ConversationError(reason, `OpenCode answered ${status}: ${message}`);
}

function talking(): Conversation {
  if (!conversation) throw new Error('There is no session yet.');
  return conversation;
}

function tell(events: readonly JsonFields[]): void {
  for (const event of events) emit(event);
}

function tellTaken(messageIds: readonly string[]): void {
  for (const messageId of messageIds) emit({ type: 'took', messageId });
}

/** Whole, or it throws: on a full disk a stream of Node writes what has room and forgets the rest. */
function emit(line: OpenCodeLine | JsonFields): void {
  writeFileSync(process.stdout.fd, `${JSON.stringify(line)}\n`);
}
