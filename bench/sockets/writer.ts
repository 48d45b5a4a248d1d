/** The worker of a figure: writes events, and reads them back as a subscriber does. */
import pg from 'pg';
import { openDatabase } from '../../src/database/database.ts';
import { MIGRATION_LIMITS } from '../../src/database/session-settings.ts';
import { appendEvents } from '../../src/events/append-events.ts';
import type { NewBuildEvent } from '../../src/events/event.ts';
import { EventHub } from '../../src/events/event-hub.ts';
import { eventsTopic } from '../../src/events/topics.ts';
import { createLogger } from '../../src/telemetry/logger.ts';
import { listen, type Subscribers } from './clients.ts';

export interface WriterSettings {
  readonly databaseUrl: string;
  /** Null: the usual way, in the table of `usual-progress.ts`. */
  readonly buildId: string | null;
  readonly subscribers: Omit<Subscribers, 'count'>;
}

const MESSAGE = 'The agent reads the login page and looks for the button. '.repeat(3);

interface Writing extends AsyncDisposable {
  write(count: number): Promise<void>;
}

/** As a worker writes what it has read of its agent's output: in one statement, then one announcement. */
async function openOurs(databaseUrl: string, buildId: string): Promise<Writing> {
  const logger = createLogger('error');
  const db = openDatabase({ url: databaseUrl, poolSize: 2, name: 'bench writer', logger, limits: MIGRATION_LIMITS });
  const hub = new EventHub({ url: databaseUrl, db, logger });
  await hub.open();
  const event: NewBuildEvent = { type: 'PROGRESS', data: { message: MESSAGE } };
  return {
    async write(count) {
      const events = Array.from({ length: count }, () => event);
      await appendEvents(db, { buildId, attemptNo: null }, events);
      hub.announce(eventsTopic(buildId));
    },
    async [Symbol.asyncDispose]() {
      await hub[Symbol.asyncDispose]();
      await db.destroy();
    },
  };
}

async function openUsual(databaseUrl: string): Promise<Writing> {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  return {
    async write(count) {
      for (let written = 0; written < count; written += 1) {
        await client.query('begin');
        const { rows } = await client.query('insert into progress (message) values ($1) returning seq', [MESSAGE]);
        await client.query('select pg_notify($1, $2)', ['progress', String(rows[0].seq)]);
        await client.query('commit');
      }
    },
    [Symbol.asyncDispose]: () => client.end(),
  };
}

export async function main({ databaseUrl, buildId, subscribers }: WriterSettings) {
  const writing = buildId === null ? await openUsual(databaseUrl) : await openOurs(databaseUrl, buildId);
  const listener = await listen(subscribers, 'reader');
  let frames = 0;
  let sent = 0;
  let heard = () => {};
  listener.onFrames = (count) => {
    frames += count;
    if (frames === sent) heard();
  };
  async function write(count: number): Promise<void> {
    sent += count;
    await writing.write(count);
    if (frames < sent) {
      await new Promise<void>((done) => {
        heard = done;
      });
    }
  }
  return {
    write,
    counts: () => ({ sent, frames }),
    /** Milliseconds of so many events, one after the other: from the call that writes one to its frame. */
    async times(count: number) {
      const times: number[] = [];
      while (times.length < count) {
        const began = performance.now();
        await write(1);
        times.push(performance.now() - began);
      }
      return times;
    },
    async close() {
      listener.socket.destroy();
      await writing[Symbol.asyncDispose]();
    },
  };
}
