/** Slipway's server, as `slipway serve` opens it, with builds that somebody may follow. */
import type { AddressInfo } from 'node:net';
import { useServer } from 'graphql-ws/use/ws';
import { v7 as uuid } from 'uuid';
import { WebSocketServer } from 'ws';
import { createContext } from '../../schema/context.ts';
import { schema } from '../../schema/index.ts';
import { createApiToken } from '../../src/auth/api-token.ts';
import type { Viewer } from '../../src/auth/viewer.ts';
import { startBuild } from '../../src/builds/start-build.ts';
import { appendEvents } from '../../src/events/append-events.ts';
import type { NewBuildEvent } from '../../src/events/event.ts';
import { eventsTopic } from '../../src/events/topics.ts';
import type { Orchestrator } from '../../src/orchestrator.ts';
import { openServer } from '../../src/server/http-server.ts';
import { toPublicId } from '../../src/std/public-id.ts';
import { openProduct } from '../product.ts';
import { collected } from './memory.ts';

export interface ServerSettings {
  readonly databaseUrl: string;
  readonly builds: number;
}

/** About 250 bytes of a frame. */
const MESSAGE = 'The agent reads the login page and looks for the button. '.repeat(3);

export async function main({ databaseUrl, builds }: ServerSettings) {
  const product = await openProduct(databaseUrl, {
    SLIPWAY_RATE_LIMIT: '0',
    SLIPWAY_SOCKETS_PER_TOKEN: '10000',
    SLIPWAY_OPERATIONS_PER_TOKEN: '20000',
  });
  const { orchestrator } = product;
  const { db, hub } = orchestrator;
  const token = await createApiToken(db, {
    name: 'bench',
    scopes: ['admin'],
    projectIds: null,
    expiresAt: null,
    createdBy: 'bench',
  });
  const server = await openServer({ orchestrator, schema, host: '127.0.0.1', port: 0 });
  const peer = usualServer(orchestrator);
  const ids = await addBuilds(orchestrator, builds);

  return {
    about: () => ({
      port: server.port,
      usualPort: peer.port(),
      token: token.token,
      builds: ids.map((id) => toPublicId('build', id)),
      uuids: ids,
    }),
    /** So many events of the first build, in one statement. */
    async emit(count: number) {
      const [buildId = ''] = ids;
      const event: NewBuildEvent = { type: 'PROGRESS', data: { message: MESSAGE } };
      await appendEvents(
        db,
        { buildId, attemptNo: null },
        Array.from({ length: count }, () => event),
      );
      hub.announce(eventsTopic(buildId));
    },
    open: () => server.subscriptionCount,
    cpu: () => process.cpuUsage(),
    memory: collected,
    async close() {
      peer.close();
      await server[Symbol.asyncDispose]();
      await product[Symbol.asyncDispose]();
    },
  };
}

async function addBuilds(orchestrator: Orchestrator, count: number): Promise<string[]> {
  const [id, actor] = [uuid(), 'token_bench'];
  await orchestrator.db
    .insertInto('projects')
    .values({ id, slug: 'bench', name: 'Bench', default_branch: 'main', created_by: actor })
    .execute();
  const ids: string[] = [];
  while (ids.length < count) {
    const { build } = await startBuild(orchestrator, { projectId: id, spec: { prompt: 'x' } }, actor);
    ids.push(build.id);
  }
  return ids;
}

/** The same schema and the same source of events behind graphql-ws, as its documentation sets it up. */
function usualServer(orchestrator: Orchestrator) {
  const viewer: Viewer = {
    tokenId: uuid(),
    secretVersion: 1,
    name: 'bench',
    actor: 'token_bench',
    scopes: ['admin'],
    projectIds: null,
    expiresAt: null,
  };
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0 });
  useServer({ schema, context: () => createContext(orchestrator, viewer) }, server);
  return {
    port: () => (server.address() as AddressInfo).port,
    close() {
      for (const client of server.clients) client.terminate();
      server.close();
    },
  };
}
