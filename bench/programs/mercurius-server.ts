/** Mercurius on Fastify without its JIT: the same list from the same rows, by a schema of a dozen plain fields. */
import fastify from 'fastify';
import mercurius from 'mercurius';
import pg from 'pg';
import { hashToken } from '../../src/auth/token-text.ts';
import { toPublicId } from '../../src/std/public-id.ts';

const TYPES = `
  type Query { builds(first: Int!): BuildConnection! }
  type BuildConnection { nodes: [Build!]! }
  type Build {
    id: ID! number: Int! status: String! phase: String! source: String! priority: Int! createdAt: String! startedAt: String
    requestedBy: String! attempt: Int! lastEventCursor: String!
  }`;

interface Row {
  readonly id: string;
  readonly created_at: Date;
  readonly requested_by: string;
  readonly attempt_no: number;
  readonly last_seq: string;
}

export async function main({ databaseUrl }: { readonly databaseUrl: string }) {
  const pool = new pg.Pool({ connectionString: databaseUrl, max: 10 });
  const app = fastify();
  await app.register(mercurius, {
    schema: TYPES,
    async context({ headers }: { readonly headers: { readonly authorization?: string | undefined } }) {
      const token = (headers.authorization ?? '').replace('Bearer ', '');
      const { rows } = await pool.query('select token_id from valid_token_secrets where hash = $1', [hashToken(token)]);
      if (rows.length === 0) throw new Error('no valid token');
      return {};
    },
    resolvers: {
      Query: {
        async builds(_root: unknown, { first }: { readonly first: number }) {
          const list = `select id, number, status, phase, source, priority, created_at, started_at, requested_by,
            attempt_no, last_seq from build_audit order by id desc limit $1`;
          return { nodes: (await pool.query<Row>(list, [first])).rows };
        },
      },
      Build: {
        id: ({ id }: Row) => toPublicId('build', id),
        createdAt: (row: Row) => row.created_at.toISOString(),
        startedAt: () => null,
        requestedBy: (row: Row) => row.requested_by,
        attempt: (row: Row) => row.attempt_no,
        lastEventCursor: (row: Row) => row.last_seq,
      },
    },
  });
  const url = await app.listen({ port: 0, host: '127.0.0.1' });
  return {
    url: () => `${url}/graphql`,
    async close() {
      await app.close();
      await pool.end();
    },
  };
}
