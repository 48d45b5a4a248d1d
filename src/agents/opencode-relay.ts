/**
 * What of the events of an OpenCode server is worth a line: everything that says what the agent did, once. Text that
 * grows, output that repeats with every byte and the server's own housekeeping are left out. What was told is
 * remembered, so that after a lost stream the session's messages can be told again without a gap or a duplicate.
 */
import { fieldsOf, type JsonFields, numberOf, textOf } from './json-fields.ts';

export interface OpenCodeCaps {
  /** Steps of the session, its subagents not counted. */
  readonly maxTurns: number | null;
  /** US dollars of all steps. */
  readonly maxCostUsd: number | null;
  /** Retries of one step. */
  readonly maxRetries: number;
}

export type OpenCodeLimit = 'max_turns' | 'budget' | 'retries';

export interface OpenCodeRelay {
  /** The events to print for this one. */
  take(event: JsonFields): readonly JsonFields[];
  /** The same for a message of `GET /session/ID/message`. */
  takeMessage(message: JsonFields): readonly JsonFields[];
  /** Never to be told: messages of the session that are older than this run. */
  forget(message: JsonFields): void;
  /** Follows a subagent's session, too. */
  follow(sessionId: string): void;
  /** The session and those of its subagents. */
  readonly sessions: ReadonlySet<string>;
  /** Requests that were told and are not closed: what was asked, by its id. */
  readonly requests: ReadonlyMap<string, JsonFields>;
  /** The events to print where only these requests are left. */
  closeOthers(left: ReadonlySet<string>): readonly JsonFields[];
  /** The cap that has been reached, if any. */
  limit(): OpenCodeLimit | null;
}

/** Sessions of subagents that are followed. */
const MAX_SESSIONS = 500;
/** Requests that are open at a time; those beyond are not known to be. */
const MAX_REQUESTS = 1000;
/** Things told that are remembered; the oldest are forgotten first. */
const MAX_REMEMBERED = 100_000;

/** Events that are known and tell nothing that others do not. */
const QUIET: ReadonlySet<string> = new Set([
  'catalog.updated',
  'command.executed',
  'file.edited',
  'file.watcher.updated',
  'installation.update-available',
  'installation.updated',
  'integration.updated',
  'lsp.client.diagnostics',
  'lsp.updated',
  'message.part.delta',
  'message.part.removed',
  'message.removed',
  'models-dev.refreshed',
  'permission.updated',
  'plugin.added',
  'project.directories.updated',
  'project.updated',
  'reference.updated',
  'server.connected',
  'server.heartbeat',
  'server.instance.disposed',
  'session.created',
  'session.diff',
  'session.idle',
  'session.updated',
  'todo.updated',
  'vcs.branch.updated',
]);

const QUIET_PARTS: ReadonlySet<string> = new Set([
  'agent',
  'compaction',
  'file',
  'patch',
  'retry',
  'snapshot',
  'step-start',
  'subtask',
]);

/** Told each time that they come. */
const KNOWN: ReadonlySet<string> = new Set(['session.compacted', 'session.error']);

const ASKED: ReadonlySet<string> = new Set(['permission.asked', 'question.asked']);
const CLOSED: ReadonlySet<string> = new Set(['permission.replied', 'question.rejected', 'question.replied']);

interface RelayState {
  readonly sessionId: string;
  readonly sessions: Set<string>;
  readonly told: Set<string>;
  readonly requests: Map<string, JsonFields>;
  /** `goesOn`: the last step was not the last of the turn. */
  spent: { turns: number; costUsd: number; retries: number; goesOn: boolean };
}

export function createOpenCodeRelay(sessionId: string, caps: OpenCodeCaps): OpenCodeRelay {
  const state: RelayState = {
    sessionId,
    sessions: new Set([sessionId]),
    told: new Set(),
    requests: new Map(),
    spent: { turns: 0, costUsd: 0, retries: 0, goesOn: false },
  };
  return {
    take: (event) => take(event, state),
    takeMessage: (message) => takeMessage(message, state),
    forget(message) {
      const { spent } = state;
      state.spent = { ...spent };
      takeMessage(message, state);
      state.spent = spent;
    },
    follow: (id) => follow(id, state),
    sessions: state.sessions,
    requests: state.requests,
    closeOthers(left) {
      const gone = [...state.requests].filter(([id]) => !left.has(id));
      return gone.flatMap(([requestID, { sessionID }]) =>
        take({ type: 'permission.replied', properties: { sessionID, requestID } }, state),
      );
    },
    limit: () => reached(caps, state.spent),
  };
}

function reached(caps: OpenCodeCaps, spent: RelayState['spent']): OpenCodeLimit | null {
  if (caps.maxCostUsd !== null && spent.costUsd > caps.maxCostUsd) return 'budget';
  if (caps.maxTurns !== null && spent.turns >= caps.maxTurns && spent.goesOn) return 'max_turns';
  return spent.retries > caps.maxRetries ? 'retries' : null;
}

function follow(id: string, { sessions }: RelayState): void {
  if (id !== '' && sessions.size < MAX_SESSIONS) sessions.add(id);
}

/** True the first time. */
function once(key: string, { told }: RelayState): boolean {
  if (told.has(key)) return false;
  told.add(key);
  if (told.size > MAX_REMEMBERED) told.delete(told.values().next().value ?? key);
  return true;
}

function takeMessage(message: JsonFields, state: RelayState): readonly JsonFields[] {
  const info = fieldsOf(message.info) ?? {};
  if (info.role !== 'assistant') return [];
  const parts = Array.isArray(message.parts) ? message.parts : [];
  return [
    ...parts.flatMap((part) => take(partUpdated(fieldsOf(part) ?? {}), state)),
    ...take({ type: 'message.updated', properties: { info } }, state),
  ];
}

function take(event: JsonFields, state: RelayState): readonly JsonFields[] {
  const type = textOf(event.type) ?? '';
  const properties = fieldsOf(event.properties) ?? {};
  const info = fieldsOf(properties.info);
  const part = fieldsOf(properties.part);
  if (type === 'session.created' && state.sessions.has(textOf(info?.parentID) ?? '')) {
    follow(textOf(info?.id) ?? '', state);
  }
  const owner = textOf(properties.sessionID) ?? textOf(info?.sessionID) ?? textOf(part?.sessionID);
  if (owner !== null && !state.sessions.has(owner)) return [];
  if (type === 'message.updated' && info) return takeInfo(event, info, state);
  if (type === 'message.part.updated' && part) return takePart(event, part, state);
  if (type === 'session.status') return takeStatus(event, fieldsOf(properties.status) ?? {}, state);
  if (ASKED.has(type)) return takeAsked(event, properties, state);
  if (CLOSED.has(type)) return state.requests.delete(textOf(properties.requestID) ?? '') ? [event] : [];
  if (KNOWN.has(type)) return [event];
  return QUIET.has(type) || !once(`event/${type}`, state) ? [] : [{ type }];
}

function takeAsked(event: JsonFields, request: JsonFields, state: RelayState): readonly JsonFields[] {
  const id = textOf(request.id);
  if (id === null || !once(`asked/${id}`, state)) return [];
  if (state.requests.size < MAX_REQUESTS) state.requests.set(id, request);
  return [event];
}

/** A message is told when it has ended, and again if it ends otherwise: an abort comes after the last step. */
function takeInfo(event: JsonFields, info: JsonFields, state: RelayState): readonly JsonFields[] {
  if (info.role !== 'assistant' || !hasEnded(info)) return [];
  const error = textOf(fieldsOf(info.error)?.name);
  return once(`${textOf(info.id)}/${textOf(info.finish)}/${error}`, state) ? [event] : [];
}

function takePart(event: JsonFields, part: JsonFields, state: RelayState): readonly JsonFields[] {
  const type = textOf(part.type) ?? '';
  const id = textOf(part.id);
  switch (type) {
    case 'text':
    case 'reasoning': {
      const ended = numberOf(fieldsOf(part.time)?.end) !== null;
      return ended && part.synthetic !== true && once(`${id}`, state) ? [event] : [];
    }
    case 'tool':
      return takeTool(event, part, state);
    case 'step-finish':
      if (!once(`${id}`, state)) return [];
      count(part, state);
      return [event];
    default:
      return QUIET_PARTS.has(type) || !once(`part/${type}`, state) ? [] : [partUpdated({ type })];
  }
}

/** Its call and its end, whatever came in between, and the call also where only the end was seen. */
function takeTool(event: JsonFields, part: JsonFields, state: RelayState): readonly JsonFields[] {
  const run = fieldsOf(part.state) ?? {};
  const id = textOf(part.id);
  if (run.status === 'running') return once(`${id}/running`, state) ? [event] : [];
  if (run.status !== 'completed' && run.status !== 'error') return [];
  if (!once(`${id}/ended`, state)) return [];
  if (!once(`${id}/running`, state)) return [event];
  return [partUpdated({ ...part, state: { status: 'running', input: run.input } }), event];
}

function takeStatus(event: JsonFields, status: JsonFields, state: RelayState): readonly JsonFields[] {
  if (status.type !== 'retry') return [];
  state.spent.retries = numberOf(status.attempt) ?? state.spent.retries + 1;
  return once(`retry/${textOf(status.message)}/${numberOf(status.next)}`, state) ? [event] : [];
}

function count(part: JsonFields, { sessionId, spent }: RelayState): void {
  spent.costUsd += numberOf(part.cost) ?? 0;
  spent.retries = 0;
  if (textOf(part.sessionID) !== sessionId) return;
  spent.turns += 1;
  spent.goesOn = part.reason !== 'stop';
}

/** The model has said its last word in this message, or will not. */
export function hasEnded(info: JsonFields): boolean {
  return info.finish !== undefined || info.error !== undefined || numberOf(fieldsOf(info.time)?.completed) !== null;
}

function partUpdated(part: JsonFields): JsonFields {
  return { type: 'message.part.updated', properties: { part } };
}
