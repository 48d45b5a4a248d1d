/**
 * Yoga on Node's HTTP server as its documentation has it. `list`: Slipway's own schema, with its context, and none of its limits.
 * `start`: a mutation that finds the caller and the project, looks for the key, and writes what `startBuild` writes in one
 * transaction, statement by statement.
 */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createSchema, createYoga } from 'graphql-yoga';
import pg from 'pg';
import { createContext } from '../../schema/context.ts';
import { schema } from '../../schema/index.ts';
import { authenticate } from '../../src/auth/authenticate.ts';
import { hashToken } from '../../src/auth/token-text.ts';
import { fromPublicId, toPublicId } from '../../src/std/public-id.ts';
import { KEYS } from '../api.ts';
import { openProduct } from '../product.ts';

interface YogaServer {
  readonly databaseUrl: string;
  readonly serves: 'list' | 'start';
}

export async function main({ databaseUrl, serves }: YogaServer) {
  await using opened = new AsyncDisposableStack();
  const yoga = serves === 'list' ? await listYoga(databaseUrl, opened) : startYoga(databaseUrl, opened);
  const server = createServer(yoga);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const resources = opened.move();
  return {
    url: () => `http://127.0.0.1:${(server.address() as AddressInfo).port}/graphql`,
    async close() {
      server.closeAllConnections();
      server.close();
      await resources.disposeAsync();
    },
  };
}

async function listYoga(databaseUrl: string, opened: AsyncDisposableStack) {
  const { orchestrator } = opened.use(await openProduct(databaseUrl, KEYS));
  return createYoga({
    schema,
    logging: false,
    async context({ request }) {
      const viewer = await authenticate(orchestrator.db, request.headers.get('authorization'));
      if (!viewer) throw new Error('no valid token');
      return createContext(orchestrator, viewer);
    },
  });
}

const TYPES = `
  type Query { hello: String! }
  type Mutation { startBuild(input: StartBuildInput!): StartBuildPayload! }
  input StartBuildInput { projectId: ID! idempotencyKey: String! spec: BuildSpecInput! }
  input BuildSpecInput { prompt: String! }
  type StartBuildPayload { deduplicated: Boolean! build: Build! }
  type Build { id: ID! number: Int! status: String! }`;

interface StartInput {
  readonly projectId: string;
  readonly idempotencyKey: string;
  readonly spec: object;
}

function startYoga(databaseUrl: string, opened: AsyncDisposableStack) {
  const pool = new pg.Pool({ connectionString: databaseUrl, max: 32 });
  opened.defer(() => pool.end());
  return createYoga({
    logging: false,
    // What goes wrong here is the bench's own fault, to be seen in its report.
    maskedErrors: false,
    schema: createSchema({
      typeDefs: TYPES,
      resolvers: { Mutation: { startBuild: (_root, { input }: { input: StartInput }) => startBuild(pool, input) } },
    }),
    async context({ request }) {
      const token = (request.headers.get('authorization') ?? '').replace('Bearer ', '');
      const { rows } = await pool.query('select token_id from valid_token_secrets where hash = $1', [hashToken(token)]);
      if (rows.length === 0) throw new Error('no valid token');
      return {};
    },
  });
}

async function startBuild(pool: pg.Pool, { projectId, idempotencyKey, spec }: StartInput) {
  const client = await pool.connect();
  const ask = async (text: string, ...values: unknown[]) => (await client.query(text, values)).rows[0];
  try {
    const project = fromPublicId('project', projectId);
    await ask('begin');
    await ask('select * from projects where id = $1', project);
    const key = await ask(
      'select id from build_audit where project_id = $1 and idempotency_key = $2',
      project,
      idempotencyKey,
    );
    if (key) throw new Error('the key is taken');
    const { build_count: number, activity_seq: seq } = await ask(
      `update projects set build_count = build_count + 1, activity_seq = activity_seq + 1 where id = $1
        returning build_count, activity_seq`,
      project,
    );
    const { id, created_at: at } = await ask(
      `insert into build_audit (id, project_id, number, source, spec, priority, requested_by, idempotency_key, input_hash, traceparent, last_seq)
        values (uuidv7(), $1, $2, 'API', $3::text::jsonb, 0, 'token_bench', $4, md5($3::text),
          '00-' || replace(gen_random_uuid()::text, '-', '') || '-' || substr(md5(random()::text), 1, 16) || '-00', 1)
        returning id, created_at`,
      ...[project, number, JSON.stringify({ provider: 'scripted', branch: 'main', ...spec }), idempotencyKey],
    );
    await ask(
      `insert into build_events (build_id, seq, attempt_no, type, at, data) values ($1, 1, 0, 'QUEUED', $2, '{}')`,
      ...[id, at],
    );
    await ask(
      `insert into project_events (project_id, seq, build_id, build_seq, type, at) values ($1, $2, $3, 1, 'QUEUED', $4)`,
      ...[project, seq, id, at],
    );
    await ask(
      `insert into audit_log (actor, action, subject_type, subject_id, project_id)
        values ('token_bench', 'startBuild', 'build', $1, $2)`,
      ...[id, project],
    );
    await ask(
      `insert into queue_items (id, kind, project_id, key, variable, gate, needs, priority, added_at, ready_at)
        values ($1, 'build', $2, '', '', '', array['provider:scripted'], 0, $3, $3)`,
      ...[id, project, at],
    );
    await ask(`select pg_notify('bench', $1::text)`, id);
    await ask('commit');
    return { deduplicated: false, build: { id: toPublicId('build', id), number, status: 'PENDING' } };
  } catch (error) {
    await client.query('rollback');
    throw error;
  } finally {
    client.release();
  }
}
