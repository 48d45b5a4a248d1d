/**
 * Messages of people for a turn of OpenCode that runs: each becomes one of the session when the one before it has, and is
 * heard when the model is asked for an answer to it. One that comes when the turn has ended is not heard.
 */
import { fieldsOf, itemsOf, type JsonFields, textOf } from './json-fields.ts';

interface Message {
  /** Ours. */
  readonly id: string;
  readonly text: string;
}

export interface OpenCodeSteering {
  push(message: Message): void;
  /** The turn of this session has been begun. What was taken before is what was there already. */
  begin(sessionId: string): void;
  /** An event of the server: gives the ids of the messages that the model is asked with from now on. */
  take(event: JsonFields): readonly string[];
  /** The same for a message of `GET /session/ID/message`. */
  takeMessage(message: JsonFields): readonly string[];
  /** Something was given to the session, and is not heard yet. */
  isPending(): boolean;
  /** Nothing more is given. */
  end(): void;
}

/** Messages that wait; those beyond are not given. */
const MAX_WAITING = 1000;
/** Messages of the session that are remembered; the oldest are forgotten. */
const MAX_KNOWN = 10_000;

interface SteeringState {
  readonly give: (text: string) => Promise<void>;
  readonly waiting: Message[];
  /** Ours, by the session's names for them, in order: no answer to them is begun yet. */
  readonly added: Map<string, string>;
  /** Messages of users: whether their text was seen. */
  readonly known: Map<string, boolean>;
  given: Message | null;
  session: string | null;
  phase: 'before' | 'open' | 'ended';
}

/** `give` adds a text to the session, as a user's message with an id that nobody knows before it is seen. */
export function createOpenCodeSteering(give: (text: string) => Promise<void>): OpenCodeSteering {
  const state: SteeringState = {
    give,
    waiting: [],
    added: new Map(),
    known: new Map(),
    given: null,
    session: null,
    phase: 'before',
  };
  return {
    push(message) {
      if (state.waiting.length < MAX_WAITING) state.waiting.push(message);
      giveNext(state);
    },
    begin(sessionId) {
      state.session = sessionId;
    },
    take: (event) => take(event, state),
    takeMessage({ info, parts }) {
      const heard = take({ type: 'message.updated', properties: { info } }, state);
      for (const part of itemsOf(parts)) take({ type: 'message.part.updated', properties: { part } }, state);
      return heard;
    },
    isPending: () => state.given !== null || state.added.size > 0,
    end() {
      state.phase = 'ended';
      state.waiting.length = 0;
    },
  };
}

function giveNext(state: SteeringState): void {
  const message = state.phase === 'open' && !state.given ? state.waiting.shift() : undefined;
  if (!message) return;
  state.given = message;
  state.give(message.text).catch((error: unknown) => {
    process.stderr.write(`A message could not be given: ${error instanceof Error ? error.message : error}\n`);
    state.given = null;
    giveNext(state);
  });
}

function take({ type, properties }: JsonFields, state: SteeringState): readonly string[] {
  const { info, part } = fieldsOf(properties) ?? {};
  if (type === 'message.updated') return takeInfo(fieldsOf(info) ?? {}, state);
  const said = type === 'message.part.updated' ? fieldsOf(part) : null;
  if (said?.type === 'text') takeText(said, state);
  return [];
}

function takeInfo(info: JsonFields, state: SteeringState): readonly string[] {
  const { session, known } = state;
  if (session !== null && info.sessionID !== session) return [];
  if (info.role === 'assistant') return takeAnswer(textOf(info.parentID), state);
  const name = textOf(info.id);
  if (info.role !== 'user' || name === null || known.has(name)) return [];
  known.set(name, false);
  if (known.size > MAX_KNOWN) known.delete(known.keys().next().value ?? name);
  return [];
}

/** It has heard the message that it names, and those before. */
function takeAnswer(parentId: string | null, state: SteeringState): readonly string[] {
  const { added } = state;
  if (state.phase === 'before' && state.session !== null) state.phase = 'open';
  giveNext(state);
  if (parentId === null || !added.has(parentId)) return [];
  const heard: string[] = [];
  for (const [name, id] of added) {
    heard.push(id);
    added.delete(name);
    if (name === parentId) break;
  }
  return heard;
}

/** A text that was seen before is not the one that was given. */
function takeText({ messageID, text }: JsonFields, state: SteeringState): void {
  const { known, added, given } = state;
  const name = textOf(messageID) ?? '';
  if (known.get(name) !== false) return;
  known.set(name, true);
  if (!given || given.text !== text) return;
  added.set(name, given.id);
  state.given = null;
  giveNext(state);
}
