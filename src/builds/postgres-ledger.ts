/** The ledger of an attempt in Postgres: each entry is one transaction that holds the build's row, fenced and numbered. */
import { sql } from 'kysely';
import { findArtifacts, insertArtifacts } from '../artifacts/artifact.ts';
import type { FileStore } from '../artifacts/file-store.ts';
import type { Config } from '../config/config.ts';
import type { Keyring } from '../credentials/keyring.ts';
import type { Database, DatabaseTransaction } from '../database/database.ts';
import { untilAnswered } from '../database/until-answered.ts';
import { SupersededError } from '../errors.ts';
import { appendEvents } from '../events/append-events.ts';
import { MILESTONES, type NewBuildEvent } from '../events/event.ts';
import type { EventHub } from '../events/event-hub.ts';
import { eventsTopic, logTopic, projectTopic, QUEUE_TOPIC, type Topic } from '../events/topics.ts';
import type { BuildPhase } from '../events/vocabulary.ts';
import { findProject } from '../projects/project.ts';
import type { Queue } from '../queue/queue.ts';
import { failpoint } from '../std/failpoint.ts';
import type { Logger } from '../telemetry/logger.ts';
import { readDayBudget } from './budget.ts';
import { type ClaimedBuild, findBuild } from './build.ts';
import { markDelivered, readMessages } from './build-message.ts';
import { expireQuestions, openQuestions, readQuestions, refreshWaiting, withdrawQuestions } from './build-question.ts';
import { UNATTENDED } from './build-spec.ts';
import { defaultAnswerTo } from './default-answer.ts';
import { buildEnd, finishTopics } from './finish-build.ts';
import { findIntendedCommit, keepIntendedCommit } from './intended-commit.ts';
import { Ledger } from './ledger.ts';
import type {
  EntryType,
  LedgerAnswers,
  LedgerChanges,
  LedgerEntries,
  LedgerQuestions,
  LedgerStore,
  QuestionName,
  TalkChanges,
} from './ledger-store.ts';
import { type LedgerRow, type LedgerWrite, type LedgerWriter, passFence, type Written } from './ledger-writer.ts';
import { writeLostWorkspace } from './lost-attempt.ts';
import { openSecrets } from './open-secrets.ts';
import { writeQuotaWait } from './quota-pause.ts';
import { type ReportDeps, reportEnd } from './report-end.ts';
import { requeueBuild } from './requeue-build.ts';
import { readSessionUsage } from './session-usage.ts';
import { writeTurn } from './take-turn.ts';

export interface LedgerDeps {
  readonly db: Database;
  readonly hub: EventHub;
  readonly queue: Queue;
}

export interface PostgresLedgerDeps extends LedgerDeps, ReportDeps {
  readonly ledgerWriter: LedgerWriter;
  readonly config: Config;
  readonly keyring: Keyring;
  readonly artifacts: FileStore;
  readonly logger: Logger;
}

/** What is asked for of the build; all of it stays as it is while the attempt runs. */
export type LedgerBuild = Pick<ClaimedBuild, 'id' | 'projectId' | 'attemptNo' | 'workerId' | 'spec'>;

/** An entry that is nothing but data. */
interface Data {
  readonly content: LedgerRow['content'];
  topics(written: Written): readonly Topic[];
}

/** One that is more: it has a transaction of its own, behind the fence. */
interface More<T extends EntryType> {
  readonly write: LedgerWrite;
  /** `phase`: before the entry. */
  finish(trx: DatabaseTransaction, phase: BuildPhase): Promise<Done<LedgerAnswers[T]>>;
}

interface Done<A> {
  readonly answer: A;
  readonly topics: readonly Topic[];
}

export function openPostgresLedger(deps: PostgresLedgerDeps, build: ClaimedBuild): Ledger {
  return new Ledger(new PostgresLedger(deps, build), build);
}

export class PostgresLedger implements LedgerStore {
  readonly #deps: PostgresLedgerDeps;
  readonly #build: LedgerBuild;

  constructor(deps: PostgresLedgerDeps, build: LedgerBuild) {
    this.#deps = deps;
    this.#build = build;
  }

  async commit<T extends EntryType>(number: number, type: T, entry: LedgerEntries[T]): Promise<LedgerAnswers[T]> {
    const buildId = this.#build.id;
    const more = <E extends EntryType>(finish: More<E>['finish']): More<E> => ({ write: {}, finish });
    const prepare: { readonly [E in EntryType]: (entry: LedgerEntries[E]) => Promise<Data | More<E>> } = {
      WRITE: ({ changes }) => this.#write(changes),
      FINISH: async ({ conclusion }) => ({
        content: { end: buildEnd({ build: this.#build, conclusion }) },
        topics: ({ freed }) => finishTopics(this.#build, freed),
      }),
      PUSH_INTENT: async (intent) => more((trx) => this.#intend(trx, intent)),
      KEEP_ARTIFACT: async (artifact) => more(await this.#keep(artifact)),
      TAKE_TURN: async ({ end }) =>
        more(async (trx, phase) => ({
          answer: await writeTurn(trx, { ...this.#build, phase }, end),
          topics: this.#ownTopics,
        })),
      EXPIRE_QUESTIONS: async () => more((trx) => this.#expire(trx)),
      RELEASE: async ({ message }) => more((trx) => this.#release(trx, message)),
      LOSE_WORKSPACE: async ({ message }) =>
        more(async (trx) => {
          await this.#append(trx, await withdrawQuestions(trx, buildId));
          const { topics, ended } = await writeLostWorkspace(trx, this.#deps.queue, { buildId, message });
          return { answer: ended ? 'finished' : 'released', topics };
        }),
      WAIT_FOR_QUOTA: async ({ wait }) =>
        more(async (trx) => {
          const topics = await writeQuotaWait(trx, this.#deps.queue, { ...wait, buildId });
          return { answer: topics !== null, topics: topics ?? [] };
        }),
    };
    const prepared = await prepare[type](entry);
    const { answer, topics } = await untilAnswered(() =>
      'content' in prepared ? this.#writeData<T>(number, prepared) : this.#writeMore(number, type, prepared),
    );
    this.#deps.hub.announce(...topics);
    return answer;
  }

  async lastNumber(): Promise<number> {
    const { id, attemptNo } = this.#build;
    const row = await untilAnswered(() =>
      this.#deps.db
        .selectFrom('build_audit')
        .select('ledger_no')
        .where('id', '=', id)
        .where('attempt_no', '=', attemptNo)
        .executeTakeFirst(),
    );
    if (!row) throw this.#superseded();
    return row.ledger_no;
  }

  ask<Q extends QuestionName>(question: Q, asks: LedgerQuestions[Q]['asks']): Promise<LedgerQuestions[Q]['answer']> {
    const { db } = this.#deps;
    const { id, projectId, spec, workerId } = this.#build;
    const answers: {
      readonly [N in QuestionName]: (asks: LedgerQuestions[N]['asks']) => Promise<LedgerQuestions[N]['answer']>;
    } = {
      project: () => findProject(db, projectId),
      secrets: ({ variable }) => openSecrets(this.#deps, { projectId, variable }),
      messages: () => readMessages(db, id),
      questions: () => readQuestions(db, id),
      dayBudget: () => readDayBudget(db, projectId),
      earlierSession: async () => {
        const earlier = spec.resumeSessionOf;
        if (!earlier) return { sessionId: null, usage: null };
        const sessionId = (await findBuild(db, earlier))?.result?.sessionId ?? null;
        return { sessionId, usage: await readSessionUsage(db, earlier) };
      },
      pack: ({ sha }) => findIntendedCommit(db, id, sha),
      artifacts: async () =>
        (await findArtifacts(db, [id])).map(({ id: artifact, name, contentType, sizeBytes, sha256 }) => ({
          id: artifact,
          name,
          contentType,
          sizeBytes,
          sha256,
        })),
      cancelReason: async () => {
        const row = await db.selectFrom('build_audit').select('cancel_reason').where('id', '=', id).executeTakeFirst();
        return row?.cancel_reason ?? null;
      },
      isBeside: ({ workerId: other }) => areBeside(db, other, workerId),
      reportEnd: () => reportEnd(this.#deps, id),
    };
    return untilAnswered(() => answers[question](asks));
  }

  /** Together with entries of other builds. */
  async #writeData<T extends EntryType>(number: number, { content, topics }: Data): Promise<Done<LedgerAnswers[T]>> {
    const written = await this.#deps.ledgerWriter.write(this.#row(number, content));
    const answer = null as LedgerAnswers[T];
    return written.state === 'APPLIED' ? { answer, topics: topics(written) } : this.#again(answer);
  }

  async #writeMore<T extends EntryType>(
    number: number,
    type: T,
    { write, finish }: More<T>,
  ): Promise<Done<LedgerAnswers[T]>> {
    const result = await this.#deps.db.transaction().execute(async (trx) => {
      const { state, answer, phase } = await passFence(trx, this.#row(number, { write }));
      if (state === 'KEPT') return this.#again(answer as LedgerAnswers[T]);
      const done = await finish(trx, phase);
      if (type !== 'WRITE') await this.#keepAnswer(trx, done.answer);
      await failpoint('ledger.written');
      return done;
    });
    await failpoint('ledger.committed');
    return result;
  }

  #row(number: number, content: LedgerRow['content']): LedgerRow {
    return { buildId: this.#build.id, attemptNo: this.#build.attemptNo, number, content };
  }

  /** It was applied before: whoever has done that may not have come to announce it. */
  #again<A>(answer: A): Done<A> {
    return { answer, topics: [...this.#ownTopics, QUEUE_TOPIC] };
  }

  get #ownTopics(): readonly Topic[] {
    return [eventsTopic(this.#build.id), projectTopic(this.#build.projectId)];
  }

  #superseded(): SupersededError {
    return new SupersededError(`attempt ${this.#build.attemptNo} of build ${this.#build.id} is over`);
  }

  /** For whoever asks again because the answer was lost. */
  async #keepAnswer(trx: DatabaseTransaction, answer: LedgerAnswers[EntryType]): Promise<void> {
    const { id } = this.#build;
    await trx
      .updateTable('build_audit')
      .set({ ledger_answer: JSON.stringify(answer) })
      .where('id', '=', id)
      .execute();
  }

  async #write({ talk, lines = [], ...changes }: LedgerChanges): Promise<Data | More<'WRITE'>> {
    const { events = [] } = changes;
    const { id, projectId } = this.#build;
    const { ledgerWriter } = this.#deps;
    const log =
      lines.length > 0
        ? { lineCount: lines.length, content: await ledgerWriter.encodeLog(lines), at: new Date() }
        : null;
    const topics: Topic[] = [];
    if (events.length > 0 || talk) topics.push(eventsTopic(id));
    if (log) topics.push(logTopic(id));
    if (talk || events.some((event) => MILESTONES[event.type])) topics.push(projectTopic(projectId));
    const write = { ...changes, log };
    if (!talk) return { content: { write }, topics: () => topics };
    return {
      write,
      finish: async (trx) => {
        await this.#append(trx, await this.#talk(trx, talk));
        return { answer: null, topics };
      },
    };
  }

  async #talk(trx: DatabaseTransaction, { asked, withdrawn, delivered }: TalkChanges): Promise<NewBuildEvent[]> {
    const { id } = this.#build;
    const events = [
      ...(delivered ? await markDelivered(trx, id, delivered) : []),
      ...(asked ? await openQuestions(trx, id, asked) : []),
      ...(withdrawn ? await withdrawQuestions(trx, id, withdrawn === 'all' ? undefined : withdrawn) : []),
    ];
    await refreshWaiting(trx, id);
    return events;
  }

  async #intend(trx: DatabaseTransaction, { commit, pack }: LedgerEntries['PUSH_INTENT']): Promise<Done<boolean>> {
    const result = await trx
      .updateTable('build_audit')
      .set({
        push_intent_sha: commit.sha,
        checkpoint: sql`checkpoint || ${JSON.stringify({ commit })}::jsonb`,
      })
      .where('id', '=', this.#build.id)
      .where('cancel_requested_at', 'is', null)
      .executeTakeFirst();
    const allowed = result.numUpdatedRows === 1n;
    if (allowed && pack) await keepIntendedCommit(trx, this.#build.id, { sha: commit.sha, pack });
    await failpoint('publish.intending');
    return { answer: allowed, topics: this.#ownTopics };
  }

  /** Its content is in the store before its row is. */
  async #keep({ file, content }: LedgerEntries['KEEP_ARTIFACT']): Promise<More<'KEEP_ARTIFACT'>['finish']> {
    const artifact = { ...file, ...(await this.#deps.artifacts.put(content())) };
    await failpoint('collect.stored');
    const { id: artifactId, name, sizeBytes } = artifact;
    return async (trx) => {
      await insertArtifacts(trx, [{ ...artifact, buildId: this.#build.id }]);
      await this.#append(trx, [{ type: 'ARTIFACT_CREATED', data: { artifactId, name, sizeBytes } }]);
      return { answer: artifact, topics: this.#ownTopics };
    };
  }

  async #expire(trx: DatabaseTransaction): Promise<Done<boolean>> {
    const { id, spec } = this.#build;
    const interaction = spec.interaction ?? UNATTENDED;
    const events = await expireQuestions(trx, id, (request, name) => defaultAnswerTo(request, name, interaction));
    await refreshWaiting(trx, id);
    await this.#append(trx, events);
    return { answer: events.length > 0, topics: this.#ownTopics };
  }

  async #release(trx: DatabaseTransaction, message: string): Promise<Done<null>> {
    const buildId = this.#build.id;
    await this.#append(trx, await withdrawQuestions(trx, buildId));
    const why = { buildId, outcome: 'RELEASED', reason: 'DRAIN', message } as const;
    return { answer: null, topics: await requeueBuild(trx, this.#deps.queue, why) };
  }

  async #append(trx: DatabaseTransaction, events: readonly NewBuildEvent[]): Promise<void> {
    if (events.length === 0) return;
    await appendEvents(trx, { buildId: this.#build.id, attemptNo: this.#build.attemptNo }, events);
  }
}

/** Were these two workers, by id, in the same place? */
async function areBeside(db: Database, one: string, other: string): Promise<boolean> {
  const row = await db
    .selectFrom('workers as then')
    .innerJoin('workers as now', 'now.host', 'then.host')
    .select('now.id')
    .where('then.id', '=', one)
    .where('now.id', '=', other)
    .executeTakeFirst();
  return row !== undefined;
}
