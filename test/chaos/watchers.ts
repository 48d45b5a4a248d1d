/** Those who follow builds: quick and slow readers, some that come back by cursor, some that vanish without a word. */
import { connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { type Client, createClient } from '../../src/client/client.ts';
import { watchBuild } from '../../src/client/watch-build.ts';
import { followBySse } from '../e2e/follow-by-sse.ts';
import { type Recorder, recordWatch, uuidOf } from '../faults/history.ts';
import type { Cluster, Server } from './cluster.ts';
import type { Random } from './random.ts';

/** At the same time; builds that come while all are busy are not watched. */
const MAX_WATCHERS = 60;
const SLOW_MS = 150;
const STALL_MS = 20_000;

const KINDS = [
  { name: 'quick', weight: 40 },
  { name: 'slow', weight: 15 },
  { name: 'sse', weight: 20 },
  { name: 'vanishing', weight: 15 },
  { name: 'stalled', weight: 10 },
] as const;
type Kind = (typeof KINDS)[number]['name'];

export interface Watchers {
  /** Watches a new build, or not. */
  offer(publicId: string): void;
  readonly counts: Readonly<Record<Kind, number>>;
  /** Who stays to the end and has not come to it: ids of their builds. */
  readonly unfinished: readonly string[];
  /** Why watches were given up. */
  readonly failures: readonly string[];
  /** Ends all that still watch. */
  stop(): Promise<void>;
}

export function startWatchers(options: { cluster: Cluster; recorder: Recorder; random: Random }): Watchers {
  const { cluster, recorder, random } = options;
  const stopping = new AbortController();
  const counts: Record<Kind, number> = { quick: 0, slow: 0, sse: 0, vanishing: 0, stalled: 0 };
  const failures: string[] = [];
  const open = new Map<Promise<void>, { publicId: string; stays: boolean }>();
  const clients = cluster.servers.map(({ url }) => createClient({ url, token: cluster.token }));

  const watch = async (kind: Kind, publicId: string): Promise<void> => {
    const server = random.pick(cluster.servers);
    const watched = { publicId, server, token: cluster.token, recorder, signal: stopping.signal };
    if (kind === 'stalled') return stall(watched);
    if (kind === 'sse') return readBySse(watched);
    const client = clients[cluster.servers.indexOf(server)];
    if (!client) throw new Error('no client');
    if (kind === 'vanishing') return vanish(watched, Math.ceil(random.between(1, 8)));
    return read({ ...watched, client }, kind === 'slow' ? SLOW_MS : 0);
  };
  return {
    counts,
    failures,
    get unfinished() {
      return [...open.values()].filter(({ stays }) => stays).map(({ publicId }) => publicId);
    },
    offer(publicId) {
      if (open.size >= MAX_WATCHERS || !random.chance(0.7)) return;
      const { name } = random.weigh(KINDS);
      counts[name] += 1;
      const watching = watch(name, publicId)
        .catch((error: unknown) => {
          if (!stopping.signal.aborted) failures.push(`${name} ${publicId}: ${String(error)}`);
        })
        .finally(() => open.delete(watching));
      open.set(watching, { publicId, stays: name === 'quick' || name === 'slow' || name === 'sse' });
    },
    async stop() {
      stopping.abort();
      await Promise.all(clients.map((client) => client.close()));
      await Promise.all(open.keys());
    },
  };
}

interface Watched {
  readonly publicId: string;
  readonly server: Server;
  readonly token: string;
  readonly recorder: Recorder;
  readonly signal: AbortSignal;
}

/** To the end, through every cut. */
async function read(watched: Watched & { readonly client: Client }, pauseMs: number): Promise<void> {
  const { client, publicId, recorder, signal } = watched;
  const events = watchBuild(client, publicId, { signal });
  const buildId = uuidOf('build', publicId);
  for await (const _ of recordWatch(recorder, { buildId, events })) {
    if (pauseMs > 0) await delay(pauseMs, undefined, { signal }).catch(() => {});
  }
}

/** The same over server-sent events, without our client. */
async function readBySse({ publicId, server, token, recorder, signal }: Watched): Promise<void> {
  const events = followBySse({ url: server.url, token }, publicId, { signal, pauseMs: 1_000 });
  for await (const _ of recordWatch(recorder, { buildId: uuidOf('build', publicId), events }));
}

/** Has a socket of its own, and is gone after a few events. */
async function vanish({ publicId, server, token, recorder, signal }: Watched, events: number): Promise<void> {
  await using client = createClient({ url: server.url, token });
  const gone = new AbortController();
  const stream = watchBuild(client, publicId, { signal: AbortSignal.any([signal, gone.signal]) });
  let seen = 0;
  for await (const _ of recordWatch(recorder, { buildId: uuidOf('build', publicId), events: stream })) {
    seen += 1;
    if (seen === events) gone.abort();
  }
}

/** Subscribes over a bare socket, reads nothing, and is cut off when the run ends or the server has enough of it. */
async function stall({ publicId, server, token, signal }: Watched): Promise<void> {
  const query = `subscription { buildProgress(buildId: "${publicId}") { cursor type } }`;
  const body = JSON.stringify({ query });
  const socket = connect(server.front.port, '127.0.0.1');
  const ended = new Promise<void>((done) => socket.once('close', () => done()));
  socket.on('error', () => {});
  socket.pause();
  socket.write(
    `POST /graphql HTTP/1.1\r\nhost: chaos\r\naccept: text/event-stream\r\ncontent-type: application/json\r\n` +
      `authorization: Bearer ${token}\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
  const end = () => socket.destroy();
  const timer = setTimeout(end, STALL_MS);
  signal.addEventListener('abort', end, { once: true });
  await ended;
  clearTimeout(timer);
  signal.removeEventListener('abort', end);
}
