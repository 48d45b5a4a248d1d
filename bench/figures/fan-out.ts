/** One event reaches everybody who follows its build. */
import type { Bench } from '../bench.ts';
import type { Case, Figure, Growth, Role, Sample } from '../figure.ts';
import type { Program, ProgramOf } from '../program.ts';
import type { main as clientsMain, Subscribers } from '../sockets/clients.ts';
import type { main as productMain } from '../sockets/product-server.ts';
import type { main as rawMain } from '../sockets/raw-server.ts';

const CLIENTS = new URL('../sockets/clients.ts', import.meta.url);
const PRODUCT = new URL('../sockets/product-server.ts', import.meta.url);
const RAW = new URL('../sockets/raw-server.ts', import.meta.url);

const FLAT = '__typename cursor type at ... on BuildProgressed { message }';
const NESTED = `${FLAT} build { id number status project { id slug name } }`;
/** As long as what a subscriber of `FLAT` gets. */
const TEXT = 'x'.repeat(330);

interface Way {
  readonly name: string;
  readonly role: Role;
  readonly subscribers: number;
  /** Events at a time. */
  readonly burst: number;
  readonly server: 'slipway' | 'graphql-ws' | 'raw';
  readonly selection?: string;
}

/** What both servers can be asked. */
interface Emitting {
  emit(count: number): unknown;
  cpu(): NodeJS.CpuUsage;
}

interface Opened {
  readonly server: Program<Emitting>;
  readonly clients: ProgramOf<typeof clientsMain>;
}

async function openServer(bench: Bench, { server, subscribers, selection = FLAT }: Way): Promise<Opened> {
  if (server === 'raw') {
    const raw = await bench.program<typeof rawMain>(RAW, { text: TEXT });
    const { port } = await raw.call('about');
    const listeners: Subscribers = { port, path: '/', count: subscribers, messages: [], answers: 0 };
    return { server: raw, clients: await bench.program<typeof clientsMain>(CLIENTS, listeners) };
  }
  const { url } = await bench.database({ migrated: true });
  const product = await bench.program<typeof productMain>(PRODUCT, { databaseUrl: url, builds: 1 });
  const { port, usualPort, token, builds } = await product.call('about');
  const query = `subscription { buildProgress(buildId: "${builds[0]}") { ${selection} } }`;
  const messages = [
    JSON.stringify({ type: 'connection_init', payload: { authorization: `Bearer ${token}` } }),
    JSON.stringify({ type: 'subscribe', id: '$id', payload: { query } }),
  ];
  const ours = server === 'slipway';
  return {
    server: product,
    clients: await bench.program<typeof clientsMain>(CLIENTS, {
      ...{ port: ours ? port : usualPort, path: ours ? '/graphql' : '/', count: subscribers },
      // The acknowledgement, and the event that the build was accepted.
      ...{ messages, answers: 2 },
    } satisfies Subscribers),
  };
}

function way(about: Way): Case {
  const { name, role, burst } = about;
  return {
    name,
    role,
    async open(bench) {
      const subscribers = bench.size ?? about.subscribers;
      const { server, clients } = await openServer(bench, { ...about, subscribers });
      let total = 0;
      return {
        async run({ seconds }): Promise<Sample> {
          const latenciesMs: number[] = [];
          const before = await server.call('cpu');
          const startedAt = performance.now();
          let frames = 0;
          while (performance.now() < startedAt + seconds * 1_000) {
            const began = performance.now();
            frames += burst * subscribers;
            await Promise.all([server.call('emit', burst), clients.call('until', total + frames)]);
            latenciesMs.push(performance.now() - began);
          }
          const elapsed = (performance.now() - startedAt) / 1_000;
          const after = await server.call('cpu');
          const spent = after.user + after.system - before.user - before.system;
          const expected = total + frames;
          total = expected;
          return {
            operations: frames,
            seconds: elapsed,
            latenciesMs,
            values: { serverUs: spent / frames },
            proof: async () => [
              { what: 'frames and events times subscribers', expected, found: await clients.call('frames') },
            ],
          };
        },
        async [Symbol.asyncDispose]() {},
      };
    },
  };
}

/** Of the server for each frame. */
const GROWTH: Growth = { axis: 'subscribers', sizes: [100, 1_000, 10_000], metric: 'serverUs' };
const HUB = 'slipway';
const NEST = 'slipway, nested selection';
const LIMIT = 'raw ws.send';
const USUAL = 'graphql-ws';

function fanOut(name: string, subscribers: number): Figure {
  const of = { subscribers, burst: 1 };
  return {
    name,
    ...(subscribers > 1_000 ? { isLong: true } : {}),
    title: `One event to ${subscribers} subscribers, each with an id of its own, against raw ws.send`,
    cases: [
      way({ name: HUB, role: 'ours', server: 'slipway', ...of }),
      way({ name: NEST, role: 'ours', server: 'slipway', selection: NESTED, ...of }),
      way({ name: LIMIT, role: 'limit', server: 'raw', ...of }),
      way({ name: USUAL, role: 'peer', server: 'graphql-ws', ...of }),
    ],
    goals: [
      { metric: 'rate', of: HUB, against: LIMIT, atLeast: 0.8 },
      { metric: 'rate', of: NEST, against: LIMIT, atLeast: 0.8 },
    ],
    ...(subscribers > 1_000 ? {} : { growth: GROWTH }),
  };
}

const burst = { subscribers: 1_000, burst: 10 };

export const figures: readonly Figure[] = [
  fanOut('fan-out', 1_000),
  fanOut('fan-out-5000', 5_000),
  {
    name: 'fan-out-burst',
    title: 'Ten events at a time to 1000 subscribers, against raw ws.send',
    cases: [
      way({ name: HUB, role: 'ours', server: 'slipway', ...burst }),
      way({ name: NEST, role: 'ours', server: 'slipway', selection: NESTED, ...burst }),
      way({ name: LIMIT, role: 'limit', server: 'raw', ...burst }),
      way({ name: USUAL, role: 'peer', server: 'graphql-ws', ...burst }),
    ],
    goals: [
      { metric: 'rate', of: HUB, against: LIMIT, atLeast: 3 },
      { metric: 'rate', of: NEST, against: LIMIT, atLeast: 3 },
    ],
  },
];
