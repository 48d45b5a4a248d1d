/**
 * A hint about one build carries its new events where they are few and small: whoever has all that came before needs no
 * SELECT. The statement that notifies reads the rows itself, so nothing is sent that is not stored, or not committed. Who has a
 * gap, or cannot read what was carried, reads the rows as after every other hint.
 */
import type pg from 'pg';
import type { BuildEvent } from './event.ts';
import type { Topic } from './topics.ts';

/** More new events than this are read by who wants them. */
const MAX_EVENTS = 16;
/** A notification about more than this is one of a busy process: it carries nothing. */
const MAX_TOPICS = 8;
/** Builds of which is remembered up to where they were announced. */
const MAX_BUILDS = 1_000;
/** Begins the line behind the topic of the events. */
export const CARRIED = '+';
const EVENTS_TOPIC = /^events:([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/;

/** A JSON array of [seq, attempt, type, milliseconds, data]. */
const NOTIFY = {
  name: 'notify with events',
  text: `select pg_notify($1, $2 || case when e.count <= ${MAX_EVENTS} and octet_length(e.rows) <= $5::int
                                       then E'\\n${CARRIED}' || e.rows else '' end), e.last
    from (select count(*), max(seq) as last,
                 jsonb_agg(jsonb_build_array(seq, attempt_no, type, (extract(epoch from at) * 1000)::bigint, data)
                           order by seq)::text as rows
            from (select * from build_events where build_id = $3::uuid and seq > $4::bigint
                   order by seq desc limit ${MAX_EVENTS + 1}) newest) e`,
};

export interface Hint {
  readonly channel: string;
  readonly sender: string;
  readonly topics: readonly string[];
  readonly maxBytes: number;
}

export class EventCarrier {
  /** The last event of a build that was announced here; the oldest go first. */
  readonly #announced = new Map<string, number>();

  /** Notifies, if the hint is one that can carry events; false: it is not, and nothing was sent. */
  async notify(client: pg.Client, { channel, sender, topics, maxBytes }: Hint): Promise<boolean> {
    if (topics.length > MAX_TOPICS) return false;
    const [found, another] = topics.filter((topic) => EVENTS_TOPIC.test(topic));
    if (found === undefined || another !== undefined) return false;
    const lines = [sender, ...topics.filter((topic) => topic !== found), found].join('\n');
    const room = maxBytes - Buffer.byteLength(lines) - 1 - CARRIED.length;
    const buildId = EVENTS_TOPIC.exec(found)?.[1];
    const values = [channel, lines, buildId, this.#announced.get(found) ?? 0, room];
    const { rows } = await client.query<{ last: number | null }>({ ...NOTIFY, values });
    this.#remember(found, rows[0]?.last ?? null);
    return true;
  }

  #remember(topic: string, last: number | null): void {
    if (last === null) return;
    this.#announced.delete(topic);
    const [oldest] = this.#announced.keys();
    if (oldest !== undefined && this.#announced.size >= MAX_BUILDS) this.#announced.delete(oldest);
    this.#announced.set(topic, last);
  }
}

/** What a hint about this topic has carried: events without a gap; null when it cannot be read. */
export function readCarried(topic: Topic | string, text: string): readonly BuildEvent[] | null {
  const [, buildId] = EVENTS_TOPIC.exec(topic) ?? [];
  const rows = buildId === undefined ? null : parse(text);
  if (!Array.isArray(rows) || rows.length === 0) return null;
  const events: BuildEvent[] = [];
  for (const row of rows) {
    if (!isEventRow(row)) return null;
    const [seq, attemptNo, type, at, data] = row;
    const before = events.at(-1);
    if (before && seq !== before.seq + 1) return null;
    events.push({ buildId, seq, attemptNo, at: new Date(at), type, data } as BuildEvent);
  }
  return events;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

type EventRow = [seq: number, attemptNo: number, type: string, at: number, data: object];

function isEventRow(row: unknown): row is EventRow {
  if (!Array.isArray(row) || row.length !== 5) return false;
  const [seq, attemptNo, type, at, data] = row;
  const isNumbered = [seq, attemptNo, at].every((number) => Number.isSafeInteger(number) && number >= 0);
  return isNumbered && typeof type === 'string' && typeof data === 'object' && data !== null;
}
