/** H37 to H48: WebSockets and cursors. */
import { randomUUID } from 'node:crypto';
import { openSocket, type ProtocolSocket, type SocketOptions } from '../server/protocol-socket.ts';
import { waitFor } from '../support/wait-for.ts';
import { type HostileCase, type HostileTable, type HostileTarget, post } from './hostile-frame.ts';

const ACTIVITY =
  'subscription ($id: ID!, $after: String) { projectActivity(projectId: $id, after: $after) { cursor } }';

/** What a socket is told after `talk`: its close code, or the status that refused the handshake. */
function socketCase(
  h: number,
  name: string,
  expected: object,
  talk: (socket: ProtocolSocket, target: HostileTarget) => void | Promise<void>,
  options: SocketOptions = {},
): HostileCase {
  return {
    h,
    name,
    send: async (target) => {
      try {
        const socket = await openSocket(target.url, options);
        await talk(socket, target);
        return await socket.closed();
      } catch (error) {
        return { refused: error instanceof Error ? error.message : String(error) };
      }
    },
    expected,
  };
}

async function connect(target: HostileTarget, authorization = target.authorization): Promise<ProtocolSocket> {
  const socket = await openSocket(target.url);
  socket.send({ type: 'connection_init', payload: { authorization } });
  const { type } = await socket.receive();
  if (type !== 'connection_ack') throw new Error(`expected connection_ack, got ${type}`);
  return socket;
}

/** A project, and the message that follows it for ever. */
async function followProject(target: HostileTarget, id: string, after?: string) {
  const name = `Followed ${randomUUID()}`;
  const source = `mutation ($name: String!) { createProject(input: { name: $name, repositoryUrl: "https://git.example.com/a/b.git" }) {
    ... on CreateProjectPayload { project { id } } } }`;
  const { data } = await post(target, { query: source, variables: { name } });
  const variables = { id: data.createProject.project.id, ...(after === undefined ? {} : { after }) };
  return { type: 'subscribe', id, payload: { query: ACTIVITY, variables } };
}

const init = ({ authorization }: HostileTarget) => ({ type: 'connection_init', payload: { authorization } });
const QUERY = { type: 'subscribe', id: '1', payload: { query: '{ viewer { id } }' } };

const handshakes: readonly HostileCase[] = [
  socketCase(37, 'a foreign origin', { refused: expect403() }, () => {}, {
    headers: { origin: 'https://evil.example' },
  }),
  socketCase(38, 'no subprotocol', { code: 4406 }, () => {}, { protocols: [] }),
  socketCase(39, 'a message that is no JSON', { code: 4400 }, (socket) => socket.send('{')),
  socketCase(39, 'a message that is a list', { code: 4400 }, (socket) => socket.send('[]')),
  socketCase(39, 'a message of bytes', { code: 4400 }, (socket) => socket.socket.send(Buffer.from('{}'))),
  socketCase(40, 'an operation before connection_init', { code: 4401 }, (socket) => socket.send(QUERY)),
  socketCase(40, 'an unknown token', { code: 4403 }, (socket) =>
    socket.send({ type: 'connection_init', payload: { authorization: `Bearer slipway_${'a'.repeat(60)}` } }),
  ),
  socketCase(41, 'no connection_init', { code: 4408 }, () => {}),
  socketCase(42, 'a message of 2 MB', { code: 1009 }, async (socket, target) => {
    socket.send(init(target));
    await socket.receive();
    socket.send({ ...QUERY, payload: { query: `{ viewer { id } } #${'x'.repeat(2 * 1024 * 1024)}` } });
  }),
  socketCase(42, 'a message of 100 KB before connection_init', { code: 1009 }, (socket) =>
    socket.send({ type: 'ping', payload: { text: 'x'.repeat(100 * 1024) } }),
  ),
];

function expect403(): string {
  return 'Unexpected server response: 403';
}

const operations: readonly HostileCase[] = [
  {
    h: 43,
    name: 'the 51st subscription of a socket',
    send: async (target) => {
      const message = await followProject(target, '0');
      const socket = await connect(target);
      for (let id = 0; id <= 50; id += 1) socket.send({ ...message, id: String(id) });
      const answer = await socket.receive();
      socket.socket.terminate();
      return answer;
    },
    expected: { type: 'error', id: '50', payload: [{ extensions: { code: 'TOO_MANY_OPERATIONS', limit: 50 } }] },
  },
  {
    h: 44,
    name: 'an id that is in use',
    send: async (target) => {
      const message = await followProject(target, '1');
      const socket = await connect(target);
      socket.send(message);
      socket.send(message);
      return socket.closed();
    },
    expected: { code: 4409 },
  },
  ...(['revoked_at', 'expires_at'] as const).map((how) => ({
    h: 45,
    name: `a token that is lost (${how}) while it follows`,
    send: async (target: HostileTarget) => {
      const message = await followProject(target, '1');
      const { id, authorization } = await target.createToken();
      const socket = await connect(target, authorization);
      socket.send(message);
      await target.db
        .updateTable('api_tokens')
        .set({ [how]: new Date() })
        .where('id', '=', id)
        .execute();
      const started = performance.now();
      const closed = await socket.closed();
      console.log(`H45: ${how} noticed after ${(performance.now() - started).toFixed()} ms`);
      return closed;
    },
    expected: { code: 4403 },
  })),
  {
    h: 46,
    name: 'a reader that stops, and sends on',
    send: async (target) => {
      const socket = await connect(target);
      socket.socket.pause();
      for (let count = 0; count < 40; count += 1) socket.send({ type: 'ping', payload: { text: 'x'.repeat(60_000) } });
      socket.socket.resume();
      const answered = () => socket.inbox.length === 40;
      await waitFor(answered, { what: 'the answers' });
      socket.socket.terminate();
      return { answered: answered() };
    },
    expected: { answered: true },
  },
];

const BAD_CURSORS = ['-1', '1.5', '9'.repeat(19), '0x1', 'x', ''];

const cursors: readonly HostileCase[] = [
  ...BAD_CURSORS.map((after) => ({
    h: 47,
    name: `the cursor ${JSON.stringify(after)}`,
    send: async (target: HostileTarget) => {
      const message = await followProject(target, '1', after);
      const socket = await connect(target);
      socket.send(message);
      const answer = await socket.receive();
      socket.socket.terminate();
      return answer;
    },
    expected: { type: 'next', payload: { errors: [{ extensions: { code: 'INVALID_CURSOR' } }] } },
  })),
  {
    h: 48,
    name: 'the events of a build of nobody',
    send: async (target) => {
      const socket = await connect(target);
      const query = 'subscription { buildProgress(buildId: "build_0199f3a0000070008000000000000000") { cursor } }';
      socket.send({ type: 'subscribe', id: '1', payload: { query } });
      const answer = await socket.receive();
      socket.socket.terminate();
      return answer;
    },
    expected: { type: 'next', payload: { errors: [{ extensions: { code: 'NOT_FOUND', resource: 'build' } }] } },
  },
];

export const SOCKET_TABLES: readonly HostileTable[] = [
  { noun: 'handshakes', cases: handshakes },
  { noun: 'operations of a socket', cases: operations },
  { noun: 'cursors', cases: cursors },
];
