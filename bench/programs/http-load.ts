/** POSTs over connections that are kept alive, in a closed loop, with as little work for each as there can be. */
import { randomUUID } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import { closedLoop } from '../load.ts';

export interface HttpLoad {
  readonly url: string;
  readonly authorization: string;
  readonly clients: number;
}

export interface HttpTurn {
  readonly seconds: number;
  readonly query: string;
  /** Sent in turn, with a new idempotency key each; without any, the query has no variables. */
  readonly projectIds?: readonly string[];
  readonly prompt?: string;
  /** With what the body of each answer begins. */
  readonly expected: string;
}

export interface HttpLoaded {
  readonly operations: number;
  readonly seconds: number;
  readonly latenciesMs: readonly number[];
  /** Answers that began as expected. */
  readonly good: number;
  /** The body of the first that did not. */
  readonly bad: string;
}

const END_OF_HEAD = '\r\n\r\n';

export async function main({ url, authorization, clients }: HttpLoad) {
  const { host, hostname, port, pathname } = new URL(url);
  const head = `POST ${pathname} HTTP/1.1\r\nHost: ${host}\r\nContent-Type: application/json\r\nAuthorization: ${authorization}\r\n`;
  return {
    async run({ seconds, query, projectIds = [], prompt = '', expected }: HttpTurn): Promise<HttpLoaded> {
      // Anew: servers close what others' turns have left idle.
      const sockets = await Promise.all(Array.from({ length: clients }, () => open(hostname, Number(port))));
      const free = [...sockets];
      const start = Buffer.from(expected);
      let good = 0;
      let bad = '';
      const run = randomUUID();
      const load = await closedLoop({ seconds, outstanding: clients }, async (index) => {
        const socket = free.pop();
        if (!socket) throw new Error('more requests than connections');
        const projectId = projectIds[index % projectIds.length];
        const input = { projectId, idempotencyKey: `${run}-${index}`, spec: { prompt } };
        const body = JSON.stringify(projectId === undefined ? { query } : { query, variables: { input } });
        const answer = await exchange(socket, `${head}Content-Length: ${Buffer.byteLength(body)}${END_OF_HEAD}${body}`);
        if (answer.subarray(0, start.length).equals(start)) good += 1;
        else bad ||= answer.toString();
        free.push(socket);
      });
      for (const socket of sockets) socket.destroy();
      return { ...load, good, bad };
    },
  };
}

async function open(hostname: string, port: number): Promise<Socket> {
  const socket = connect(port, hostname);
  socket.setNoDelay(true);
  await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject));
  return socket;
}

/** Gives the body of the answer. All servers here say its length. */
function exchange(socket: Socket, request: string): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    let received: Buffer = Buffer.alloc(0);
    const take = (chunk: Buffer) => {
      received = received.length === 0 ? chunk : Buffer.concat([received, chunk]);
      const end = received.indexOf(END_OF_HEAD);
      if (end < 0) return;
      const length = /\r\ncontent-length: *(\d+)/i.exec(received.toString('latin1', 0, end))?.[1];
      const from = end + END_OF_HEAD.length;
      if (received.length < from + Number(length)) return;
      socket.off('data', take).off('close', lose);
      resolve(received.subarray(from));
    };
    const lose = () => reject(new Error(`the server has closed a connection: ${received.toString()}`));
    socket.on('data', take).once('close', lose);
    socket.write(request);
  });
}
