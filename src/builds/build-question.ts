/** What agents ask people: a question to answer, or a tool to allow. The caller of what writes holds the build's row. */
import type { Selectable } from 'kysely';
import { sql } from 'kysely';
import { v7 } from 'uuid';
import type { AgentWord } from '../agents/agent.ts';
import type { Database, DatabaseTransaction } from '../database/database.ts';
import type { BuildQuestionsTable } from '../database/tables.ts';
import { eventRow } from '../events/append-events.ts';
import type { AgentRequest, NewBuildEvent } from '../events/event.ts';
import type { QuestionState } from '../events/vocabulary.ts';

/** Of one build. What is asked beyond is given its default at once. */
export const MAX_QUESTIONS = 100;

/** What an agent is told in answer. */
export type Answer = Exclude<AgentWord, { type: 'message' }>;

export interface BuildQuestion {
  readonly id: string;
  readonly buildId: string;
  /** Which run of the agent in this build has asked. */
  readonly runNo: number;
  readonly request: AgentRequest;
  readonly state: QuestionState;
  /** What the agent was told; null while it is open, and when it was withdrawn. */
  readonly answer: Answer | null;
  readonly askedAt: Date;
  /** The default is given then. */
  readonly expiresAt: Date;
  readonly closedAt: Date | null;
  /** Who answered; null where nobody did. */
  readonly closedBy: string | null;
}

export function toBuildQuestion(row: Selectable<BuildQuestionsTable>): BuildQuestion {
  return {
    id: row.id,
    buildId: row.build_id,
    runNo: row.run_no,
    request: row.request as AgentRequest,
    state: row.state,
    answer: row.word as Answer | null,
    askedAt: row.asked_at,
    expiresAt: row.expires_at,
    closedAt: row.closed_at,
    closedBy: row.closed_by,
  };
}

/** In the order in which they were asked; at most `MAX_QUESTIONS`. */
export async function readQuestions(db: Database, buildId: string): Promise<BuildQuestion[]> {
  const rows = await db
    .selectFrom('build_questions')
    .selectAll()
    .where('build_id', '=', buildId)
    .orderBy('id')
    .limit(MAX_QUESTIONS)
    .execute();
  return rows.map(toBuildQuestion);
}

export async function findQuestion(db: Database | DatabaseTransaction, id: string): Promise<BuildQuestion | null> {
  const row = await db.selectFrom('build_questions').selectAll().where('id', '=', id).executeTakeFirst();
  return row ? toBuildQuestion(row) : null;
}

export interface AskedQuestions {
  /** `requestId`: the agent's own name for it. */
  readonly questions: readonly { readonly requestId: string; readonly request: AgentRequest }[];
  /** Of the agent in this build. */
  readonly runNo: number;
  readonly waitSeconds: number;
}

/** What the agent is told when nobody answers. */
export type DefaultAnswer = (request: AgentRequest, requestId: string) => Answer;

/** Opens them and returns what to publish. */
export async function openQuestions(
  trx: DatabaseTransaction,
  buildId: string,
  asked: AskedQuestions,
): Promise<NewBuildEvent[]> {
  if (asked.questions.length === 0) return [];
  const rows = await trx
    .insertInto('build_questions')
    .values(
      asked.questions.map(({ requestId, request }) => ({
        id: v7(),
        build_id: buildId,
        request_id: requestId,
        run_no: asked.runNo,
        request: JSON.stringify(request),
        expires_at: sql<Date>`clock_timestamp() + make_interval(secs => ${asked.waitSeconds})`,
      })),
    )
    // An agent that names two questions alike has asked one.
    .onConflict((conflict) => conflict.columns(['build_id', 'request_id']).where('state', '=', 'OPEN').doNothing())
    .returning(['id', 'request', 'expires_at'])
    .execute();
  return rows.map((row) => ({
    type: 'QUESTION_ASKED',
    data: { questionId: row.id, request: row.request as AgentRequest, expiresAt: row.expires_at.toISOString() },
  }));
}

/** Those that the agent does not wait for any more; all of them without `requestIds`. Returns what to publish. */
export async function withdrawQuestions(
  trx: DatabaseTransaction,
  buildId: string,
  requestIds?: readonly string[],
): Promise<NewBuildEvent[]> {
  if (requestIds?.length === 0) return [];
  const { rows } = await sql<{ question_id: string }>`
    select question_id from withdraw_questions(array[${buildId}]::uuid[], ${requestIds ? [...requestIds] : null}::text[])`.execute(
    trx,
  );
  return rows.map((row) => closedEvent(row.question_id, 'WITHDRAWN', null));
}

/** Gives those that have waited too long the answer that `defaultOf` says. Returns what to publish. */
export async function expireQuestions(
  trx: DatabaseTransaction,
  buildId: string,
  defaultOf: DefaultAnswer,
): Promise<NewBuildEvent[]> {
  const late = await trx
    .selectFrom('build_questions')
    .selectAll()
    .where('build_id', '=', buildId)
    .where('state', '=', 'OPEN')
    .where('expires_at', '<=', sql<Date>`clock_timestamp()`)
    .orderBy('id')
    .execute();
  const events: NewBuildEvent[] = [];
  for (const row of late) {
    const answer = defaultOf(row.request as AgentRequest, row.request_id);
    events.push(await closeQuestion(trx, row.id, { state: 'EXPIRED', answer, closedBy: null }));
  }
  return events;
}

export async function closeQuestion(
  trx: DatabaseTransaction,
  id: string,
  end: {
    readonly state: Exclude<QuestionState, 'OPEN' | 'WITHDRAWN'>;
    readonly answer: Answer;
    readonly closedBy: string | null;
  },
): Promise<NewBuildEvent> {
  await trx
    .updateTable('build_questions')
    .set({
      state: end.state,
      word: JSON.stringify(end.answer),
      closed_at: sql<Date>`clock_timestamp()`,
      closed_by: end.closedBy,
    })
    .where('id', '=', id)
    .execute();
  return closedEvent(id, end.state, end.closedBy);
}

function closedEvent(
  questionId: string,
  state: Exclude<QuestionState, 'OPEN'>,
  closedBy: string | null,
): NewBuildEvent {
  return { type: 'QUESTION_CLOSED', data: { questionId, state, closedBy } };
}

/** What a build's end tells of a question that is still open; the database puts in its id. */
export const WITHDRAWN_EVENT = JSON.stringify(eventRow(closedEvent('', 'WITHDRAWN', null)));

/** Says on the build's row whether people are waited for. */
export async function refreshWaiting(trx: DatabaseTransaction, buildId: string): Promise<void> {
  await sql`
    update build_audit
       set waiting_for = (
             select case when bool_or(request->>'kind' = 'QUESTION') then 'INPUT' when count(*) > 0 then 'APPROVAL' end
               from build_questions where build_id = ${buildId} and state = 'OPEN'
           )
     where id = ${buildId} and status = 'RUNNING'`.execute(trx);
}
