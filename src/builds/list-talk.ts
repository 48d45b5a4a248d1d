/** What was said between people and the agents of many builds, in one statement: it may be megabytes in all. */
import { type Selectable, sql } from 'kysely';
import type { Database } from '../database/database.ts';
import type { BuildMessagesTable, BuildQuestionsTable } from '../database/tables.ts';
import type { QuestionState } from '../events/vocabulary.ts';
import { type BuildMessage, toBuildMessage } from './build-message.ts';
import { type BuildQuestion, toBuildQuestion } from './build-question.ts';

export interface TalkQuery {
  /** Of these builds, or with these ids. */
  readonly by: 'build_id' | 'id';
  readonly ids: readonly string[];
  /** Of the texts. */
  readonly maxBytes: number;
}

interface Talk<T> {
  /** In the order in which it was said. */
  readonly value: T[];
  readonly bytes: number;
}

interface Counted {
  /** Of all rows. */
  readonly total: number;
}

/** Null when they are more than `maxBytes`: then no text has come over the wire. */
export async function listMessages(db: Database, { by, ids, maxBytes }: TalkQuery): Promise<Talk<BuildMessage> | null> {
  const { rows } = await sql<Selectable<BuildMessagesTable> & Counted>`
    select id, build_id, mode, case when total <= ${maxBytes} then text end as text, state, delivered_as, sent_by,
           idempotency_key, created_at, delivered_at, total
      from (
        select *, sum(octet_length(text)) over () as total
          from build_messages where ${sql.ref(by)} = any(${ids}::uuid[])
      ) as counted order by id`.execute(db);
  const bytes = rows[0]?.total ?? 0;
  return bytes > maxBytes ? null : { value: rows.map(toBuildMessage), bytes };
}

/** Those in this state, or all of them. Null when they are more than `maxBytes`: then no text has come over the wire. */
export async function listQuestions(
  db: Database,
  { by, ids, maxBytes, state }: TalkQuery & { readonly state: QuestionState | null },
): Promise<Talk<BuildQuestion> | null> {
  const { rows } = await sql<Selectable<BuildQuestionsTable> & Counted>`
    select id, build_id, request_id, run_no, case when total <= ${maxBytes} then request end as request, state,
           case when total <= ${maxBytes} then word end as word, asked_at, expires_at, closed_at, closed_by, total
      from (
        select *, sum(octet_length(request::text) + coalesce(octet_length(word::text), 0)) over () as total
          from build_questions
         where ${sql.ref(by)} = any(${ids}::uuid[]) and (${state}::text is null or state = ${state})
      ) as counted order by id`.execute(db);
  const bytes = rows[0]?.total ?? 0;
  return bytes > maxBytes ? null : { value: rows.map(toBuildQuestion), bytes };
}
