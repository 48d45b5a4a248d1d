import { setImmediate as tick } from 'node:timers/promises';
import { beforeEach, expect, test } from 'vitest';
import type { JsonFields } from '../../src/agents/json-fields.ts';
import { createOpenCodeSteering, type OpenCodeSteering } from '../../src/agents/opencode-steering.ts';

let given: string[];
let steering: OpenCodeSteering;

const info = (fields: JsonFields) => ({ type: 'message.updated', properties: { info: { sessionID: 's', ...fields } } });
const answer = (parentID: string, sessionID = 's') =>
  info({ role: 'assistant', id: `to-${parentID}`, parentID, sessionID });
const text = (messageID: string, said: string) => ({
  type: 'message.part.updated',
  properties: { part: { type: 'text', messageID, text: said } },
});

/** As the server tells of a user's message. */
function add(id: string, said: string): void {
  steering.take(info({ role: 'user', id }));
  steering.take(text(id, said));
}

beforeEach(() => {
  given = [];
  steering = createOpenCodeSteering(async (said) => void given.push(said));
});

function beginTurn(): void {
  steering.begin('s');
  add('prompt', 'the prompt');
  steering.take(answer('prompt'));
}

test('nothing is given before the turn has begun, and one after the other then', () => {
  steering.push({ id: 'm-1', text: 'one' });
  steering.push({ id: 'm-2', text: 'two' });
  expect(given).toEqual([]);
  beginTurn();
  expect(given).toEqual(['one']);
  add('a', 'one');
  expect(given).toEqual(['one', 'two']);
});

test('an answer to a message has heard those before it, too', () => {
  beginTurn();
  for (const [id, said] of [
    ['m-1', 'one'],
    ['m-2', 'two'],
    ['m-3', 'three'],
  ] as const) {
    steering.push({ id, text: said });
    add(`of-${id}`, said);
  }
  expect(steering.isPending()).toBe(true);
  expect(steering.take(answer('of-m-2'))).toEqual(['m-1', 'm-2']);
  expect(steering.take(answer('of-m-2'))).toEqual([]);
  expect(steering.isPending()).toBe(true);
  expect(steering.take(answer('of-m-3'))).toEqual(['m-3']);
  expect(steering.isPending()).toBe(false);
});

test('neither an old message nor an answer with the same text is taken for it', () => {
  add('old', 'again');
  beginTurn();
  steering.push({ id: 'm-1', text: 'again' });
  add('old', 'again');
  steering.take(text('to-prompt', 'again'));
  expect(steering.take(answer('old'))).toEqual([]);
  add('new', 'again');
  expect(steering.take(answer('new', 'of a subagent'))).toEqual([]);
  expect(steering.take(answer('new'))).toEqual(['m-1']);
});

test('the messages of a session that are read again tell what was missed', () => {
  beginTurn();
  steering.push({ id: 'm-1', text: 'one' });
  const user = {
    info: { sessionID: 's', role: 'user', id: 'a' },
    parts: [{ type: 'text', messageID: 'a', text: 'one' }],
  };
  const said = { info: { sessionID: 's', role: 'assistant', id: 'b', parentID: 'a' }, parts: [] };
  expect([user, said].flatMap((message) => steering.takeMessage(message))).toEqual(['m-1']);
});

test('one that is not accepted is lost, and the next one is given', async () => {
  let refuse = true;
  steering = createOpenCodeSteering(async (said) => {
    given.push(said);
    if (refuse) throw new Error('OpenCode answered 500');
  });
  beginTurn();
  steering.push({ id: 'm-1', text: 'one' });
  steering.push({ id: 'm-2', text: 'two' });
  refuse = false;
  await tick();
  expect(given).toEqual(['one', 'two']);
  add('a', 'two');
  expect(steering.take(answer('a'))).toEqual(['m-2']);
});

test('after the end nothing is given', () => {
  beginTurn();
  steering.push({ id: 'm-1', text: 'one' });
  steering.push({ id: 'm-2', text: 'two' });
  steering.end();
  add('a', 'one');
  steering.push({ id: 'm-3', text: 'three' });
  expect(steering.take(answer('a'))).toEqual(['m-1']);
  expect(given).toEqual(['one']);
});
