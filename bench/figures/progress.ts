/** What a worker writes in one process reaches those who follow the build at another. */
import type { Bench } from '../bench.ts';
import type { Case, Figure, Role, Sample } from '../figure.ts';
import type { ProgramOf } from '../program.ts';
import type { main as clientsMain, Subscribers } from '../sockets/clients.ts';
import type { main as productMain } from '../sockets/product-server.ts';
import type { main as usualMain } from '../sockets/usual-progress.ts';
import type { main as writerMain } from '../sockets/writer.ts';

const CLIENTS = new URL('../sockets/clients.ts', import.meta.url);
const PRODUCT = new URL('../sockets/product-server.ts', import.meta.url);
const USUAL = new URL('../sockets/usual-progress.ts', import.meta.url);
const WRITER = new URL('../sockets/writer.ts', import.meta.url);

const SUBSCRIBERS = 200;
const EVENTS = 500;

interface Opened {
  readonly writer: ProgramOf<typeof writerMain>;
  readonly subscribers: Omit<Subscribers, 'count'>;
}

async function openProduct(bench: Bench): Promise<Opened> {
  const { url } = await bench.database({ migrated: true });
  const product = await bench.program<typeof productMain>(PRODUCT, { databaseUrl: url, builds: 1 });
  const { port, token, builds, uuids } = await product.call('about');
  const selection = '__typename cursor type at ... on BuildProgressed { message }';
  const query = `subscription { buildProgress(buildId: "${builds[0]}") { ${selection} } }`;
  const messages = [
    JSON.stringify({ type: 'connection_init', payload: { authorization: `Bearer ${token}` } }),
    JSON.stringify({ type: 'subscribe', id: '$id', payload: { query } }),
  ];
  const subscribers = { port, path: '/graphql', messages, answers: 2 };
  const writer = await bench.program<typeof writerMain>(WRITER, {
    databaseUrl: url,
    buildId: uuids[0] ?? '',
    subscribers,
  });
  return { writer, subscribers };
}

/** A transaction of INSERT and NOTIFY for each event, a SELECT for each notification, and graphql-ws. */
async function openUsual(bench: Bench): Promise<Opened> {
  const { url } = await bench.database({ migrated: false });
  const server = await bench.program<typeof usualMain>(USUAL, { databaseUrl: url });
  const { port } = await server.call('about');
  const messages = [
    JSON.stringify({ type: 'connection_init' }),
    JSON.stringify({
      type: 'subscribe',
      id: '$id',
      payload: { query: 'subscription { progress { seq type at message } }' },
    }),
    // Its answer says that the subscription is there.
    JSON.stringify({ type: 'ping' }),
  ];
  const subscribers = { port, path: '/', messages, answers: 2 };
  return {
    writer: await bench.program<typeof writerMain>(WRITER, { databaseUrl: url, buildId: null, subscribers }),
    subscribers,
  };
}

/** All events as fast as they can be written, to all subscribers. */
function stream(name: string, role: Role, open: (bench: Bench) => Promise<Opened>): Case {
  return {
    name,
    role,
    async open(bench) {
      const { writer, subscribers } = await open(bench);
      const clients = await bench.program<typeof clientsMain>(CLIENTS, { ...subscribers, count: SUBSCRIBERS });
      // The peer writes them one by one at the same rate, however many: all of them would be four seconds.
      const events = role === 'peer' && bench.isQuick ? EVENTS / 5 : EVENTS;
      let total = 0;
      return {
        async run({ seconds }): Promise<Sample> {
          const startedAt = performance.now();
          let rounds = 0;
          while (performance.now() < startedAt + seconds * 1_000) {
            rounds += 1;
            await writer.call('write', events);
            await clients.call('until', total + rounds * events * SUBSCRIBERS);
          }
          const elapsed = (performance.now() - startedAt) / 1_000;
          total += rounds * events * SUBSCRIBERS;
          const [expected, found] = [total, await clients.call('frames')];
          return {
            operations: rounds * events,
            seconds: elapsed,
            latenciesMs: [],
            proof: async () => [{ what: 'frames and events times subscribers', expected, found }],
          };
        },
        async [Symbol.asyncDispose]() {},
      };
    },
  };
}

/** One event after the other, to the one who follows: from the call that writes it to its frame. */
function alone(name: string, role: Role, open: (bench: Bench) => Promise<Opened>): Case {
  return {
    name,
    role,
    async open(bench) {
      const { writer } = await open(bench);
      return {
        async run({ seconds }): Promise<Sample> {
          const startedAt = performance.now();
          const latenciesMs: number[] = [];
          while (performance.now() < startedAt + seconds * 1_000) latenciesMs.push(...(await writer.call('times', 50)));
          return {
            operations: latenciesMs.length,
            seconds: (performance.now() - startedAt) / 1_000,
            latenciesMs,
            proof: async () => {
              const { sent, frames } = await writer.call('counts');
              return [{ what: 'frames and events', expected: sent, found: frames }];
            },
          };
        },
        async [Symbol.asyncDispose]() {},
      };
    },
  };
}

const OURS = 'slipway';
const PEER = 'INSERT, NOTIFY, SELECT, graphql-ws';

export const figures: readonly Figure[] = [
  {
    name: 'progress',
    title: `${EVENTS} events of a worker to ${SUBSCRIBERS} subscribers at another process`,
    cases: [stream(OURS, 'ours', openProduct), stream(PEER, 'peer', openUsual)],
    goals: [{ metric: 'rate', of: OURS, against: PEER, atLeast: 15 }],
  },
  {
    name: 'progress-alone',
    title: 'One event of a worker to its subscriber at another process',
    cases: [alone(OURS, 'ours', openProduct), alone(PEER, 'peer', openUsual)],
    goals: [{ metric: 'p50', of: OURS, against: null, atMost: 1 }],
  },
];
