/** What somebody costs who waits. */
import type { Bench } from '../bench.ts';
import type { Case, Figure, Role } from '../figure.ts';
import type { Program } from '../program.ts';
import type { main as clientsMain, Subscribers } from '../sockets/clients.ts';
import type { collected } from '../sockets/memory.ts';
import type { main as productMain } from '../sockets/product-server.ts';
import type { main as rawMain } from '../sockets/raw-server.ts';

const CLIENTS = new URL('../sockets/clients.ts', import.meta.url);
const PRODUCT = new URL('../sockets/product-server.ts', import.meta.url);
const RAW = new URL('../sockets/raw-server.ts', import.meta.url);

/** Half of them in a quick run: among fewer, what a process has for itself weighs more than they do. */
const SUBSCRIBERS = 10_000;
/** Before anything is measured: what a server has loaded and compiled after these is nobody's share. */
const FIRST = 1_000;
const SELECTION = '__typename cursor type at ... on BuildProgressed { message } build { id status }';

/** What both servers can be asked. */
interface Weighed {
  memory: typeof collected;
  open(): number;
}

interface Opened {
  readonly server: Program<Weighed>;
  readonly subscribers: Omit<Subscribers, 'count'>;
}

async function openProduct(bench: Bench): Promise<Opened> {
  const { url } = await bench.database({ migrated: true });
  const server = await bench.program<typeof productMain>(PRODUCT, { databaseUrl: url, builds: 1 });
  const { port, token, builds } = await server.call('about');
  const query = `subscription { buildProgress(buildId: "${builds[0]}") { ${SELECTION} } }`;
  const messages = [
    JSON.stringify({ type: 'connection_init', payload: { authorization: `Bearer ${token}` } }),
    JSON.stringify({ type: 'subscribe', id: '$id', payload: { query } }),
  ];
  return { server, subscribers: { port, path: '/graphql', messages, answers: 2 } };
}

async function openRaw(bench: Bench): Promise<Opened> {
  const server = await bench.program<typeof rawMain>(RAW, { text: 'x' });
  const { port } = await server.call('about');
  return { server, subscribers: { port, path: '/', messages: [], answers: 0 } };
}

function waiting(name: string, role: Role, open: (bench: Bench) => Promise<Opened>): Case {
  return {
    name,
    role,
    async open(bench) {
      return {
        isFresh: true,
        async run() {
          const all = bench.size ?? (bench.isQuick ? SUBSCRIBERS / 2 : SUBSCRIBERS);
          const first = Math.min(FIRST, all / 2);
          const count = all - first;
          const { server, subscribers } = await open(bench);
          await using _first = await bench.program<typeof clientsMain>(CLIENTS, { ...subscribers, count: first });
          const before = await server.call('memory');
          const startedAt = performance.now();
          await using _clients = await bench.program<typeof clientsMain>(CLIENTS, { ...subscribers, count });
          const seconds = (performance.now() - startedAt) / 1_000;
          const after = await server.call('memory');
          const found = await server.call('open');
          await server[Symbol.asyncDispose]();
          return {
            operations: count,
            seconds,
            latenciesMs: [],
            values: {
              bytes: (after.rss - before.rss) / count,
              heapBytes: (after.heapUsed - before.heapUsed) / count,
              uncollected: (after.uncollected - before.uncollected) / count,
            },
            proof: async () => [{ what: 'open subscriptions', expected: all, found }],
          };
        },
        async [Symbol.asyncDispose]() {},
      };
    },
  };
}

const OURS = 'slipway, one subscription each';
const LIMIT = 'raw ws sockets';

export const figures: readonly Figure[] = [
  {
    name: 'idle-subscriptions',
    isSteady: true,
    title: `Memory of the server for each of ${SUBSCRIBERS} idle subscriptions, against raw ws sockets`,
    cases: [waiting(OURS, 'ours', openProduct), waiting(LIMIT, 'limit', openRaw)],
    goals: [{ metric: 'bytes', of: OURS, against: LIMIT, atMost: 1.5 }],
    growth: { axis: 'subscribers', sizes: [100, 1_000, 10_000], metric: 'bytes' },
  },
];
