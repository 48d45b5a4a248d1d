/** Commits of writers that do not wait for each other, while 20 API processes listen: what it costs to tell them. */
import { randomUUID } from 'node:crypto';
import { sql } from 'kysely';
import pg from 'pg';
import type { Database } from '../../src/database/database.ts';
import { EventHub } from '../../src/events/event-hub.ts';
import { eventsTopic } from '../../src/events/topics.ts';
import { createLogger } from '../../src/telemetry/logger.ts';
import type { Case, Figure, Sample } from '../figure.ts';
import { closedLoop } from '../load.ts';
import type { main as listenersMain } from '../programs/notify-listeners.ts';

const PROGRAM = new URL('../programs/notify-listeners.ts', import.meta.url);
const WRITERS = 32;
/** Connections that LISTEN, all of one other process: what Postgres has to do for them is the same. */
const LISTENERS = 20;
/** Builds that are written to in turn. */
const BUILDS = 1_000;
const HEARD_WITHIN_MS = 20_000;

type Write = (pool: pg.Pool, build: string) => Promise<unknown>;

const insert = { name: 'insert', text: 'insert into events (id, build_id) values (uuidv7(), $1)' };
const insertAndNotify = {
  name: 'insert and notify',
  text: `with i as (insert into events (id, build_id) values (uuidv7(), $1) returning build_id)
         select pg_notify('slipway', 'bench' || chr(10) || 'events:' || build_id) from i`,
};

const plain: Write = (pool, build) => pool.query({ ...insert, values: [build] });
const inTransaction: Write = (pool, build) => pool.query({ ...insertAndNotify, values: [build] });
const announced =
  (hub: EventHub): Write =>
  async (pool, build) => {
    await plain(pool, build);
    hub.announce(eventsTopic(build));
  };

interface About extends Pick<Case, 'name' | 'role'> {
  /** Nobody listens where nobody is told. */
  readonly tells: boolean;
  readonly write: (hub: EventHub) => Write;
}

function writers({ name, role, tells, write: writeWith }: About): Case {
  return {
    name,
    role,
    async open(bench) {
      await using opened = new AsyncDisposableStack();
      const { url, db } = await bench.database({ migrated: false });
      await sql`create table events (id uuid primary key, build_id uuid not null, at timestamptz not null default now())`.execute(
        db,
      );
      const hub = opened.use(new EventHub({ url, db, logger: createLogger('error') }));
      await hub.open();
      const builds = Array.from({ length: BUILDS }, () => randomUUID());
      const listeners = tells
        ? await bench.program<typeof listenersMain>(PROGRAM, { url, count: LISTENERS, builds })
        : null;
      const pool = new pg.Pool({ connectionString: url, max: WRITERS });
      // Connections that are about to end are ended with their database.
      pool.on('error', () => {});
      opened.defer(() => pool.end());
      const write = writeWith(hub);
      const resources = opened.move();
      return {
        async run({ seconds }) {
          const before = await countRows(db);
          const load = await closedLoop({ seconds, outstanding: WRITERS }, (index) =>
            write(pool, builds[index % BUILDS] as string),
          );
          const told = Math.min(BUILDS, load.operations);
          return {
            ...load,
            async proof() {
              const rows = {
                what: 'rows and commits',
                expected: load.operations,
                found: (await countRows(db)) - before,
              };
              if (!listeners) return [rows];
              const found = await listeners.call('heard', { expected: told, withinMs: HEARD_WITHIN_MS });
              return [rows, { what: 'builds that every listener heard of', expected: told, found }];
            },
          } satisfies Sample;
        },
        [Symbol.asyncDispose]: () => resources.disposeAsync(),
      };
    },
  };
}

async function countRows(db: Database): Promise<number> {
  const { rows } = await sql<{ n: number }>`select count(*)::float8 as n from events`.execute(db);
  return rows[0]?.n ?? 0;
}

const SILENT = 'INSERT';
const INSIDE = 'INSERT and NOTIFY in its transaction';
const OURS = 'INSERT, then EventHub.announce';

export const figures: readonly Figure[] = [
  {
    name: 'notify',
    title: `commits of ${WRITERS} writers, ${LISTENERS} connections of another process listening, against no NOTIFY`,
    cases: [
      { name: OURS, role: 'ours', tells: true, write: announced } as const,
      { name: SILENT, role: 'limit', tells: false, write: () => plain } as const,
      { name: INSIDE, role: 'peer', tells: true, write: () => inTransaction } as const,
    ].map(writers),
    goals: [
      { metric: 'rate', of: OURS, against: SILENT, atLeast: 0.7 },
      { metric: 'rate', of: OURS, against: INSIDE, atLeast: 4 },
    ],
  },
];
