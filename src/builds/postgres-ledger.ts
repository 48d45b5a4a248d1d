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
import { MILESTONES, type NewBuildEvent, type Usage } from '../events/event.ts';
import type { EventHub } from '../events/event-hub.ts';
import { eventsTopic, logTopic, projectTopic, QUEUE_TOPIC, type Topic } from '../events/topics.ts';
import type { BuildPhase } from '../events/vocabulary.ts';
import { findProject } from '../projects/project.ts';
import type { Queue } from '../queue/queue.ts';
import { failpoint } from '../std/failpoint.ts';
import type { Logger } from '../telemetry/logger.ts';
import { readDayBudget } from './budget.ts';
import { type ClaimedBuild, findBuild } from './build.ts';
import { encodeLines, insertLogChunk } from './build-log.ts';
import { markDelivered, readMessages } from './build-message.ts';
import { expireQuestions, openQuestions, readQuestions, refreshWaiting, withdrawQuestions } from './build-question.ts';
import { UNATTENDED } from './build-spec.ts';
import { defaultAnswerTo } from './default-answer.ts';
import { writeFinish } from './finish-build.ts';
import { findIntendedCommit, forgetIntendedCommit, keepIntendedCommit } from './intended-commit.ts';
import { LEASE_SECONDS } from './lease.ts';
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
import { writeLostWorkspace } from './lost-attempt.ts';
import { openSecrets } from './open-secrets.ts';
import { writeQuotaWait } from './quota-pause.ts';
import { type ReportDeps, reportEnd } from './report-end.ts';
import { requeueBuild } from './requeue-build.ts';
import { readSessionUsage } from './session-usage.ts';
import { recordSpend, spendSince } from './spend.ts';
import { writeTurn } from './take-turn.ts';

export interface LedgerDeps {
  readonly db: Database;
  readonly hub: EventHub;
  readonly queue: Queue;
}

export interface PostgresLedgerDeps extends LedgerDeps, ReportDeps {
  readonly config: Config;
  readonly keyring: Keyring;
  readonly artifacts: FileStore;
  readonly logger: Logger;
}

/** What is asked for of the build; all of it stays as it is while the attempt runs. */
export type LedgerBuild = Pick<ClaimedBuild, 'id' | 'projectId' | 'attemptNo' | 'workerId' | 'spec'>;

/** Of the row, as it was before the entry. */
interface Fence {
  readonly last_line: number;
  readonly phase: BuildPhase;
  readonly usage: unknown;
}

interface Written<A> {
  readonly answer: A;
  readonly topics?: readonly Topic[];
}

type Writer<T extends EntryType> = (trx: DatabaseTransaction, fence: Fence) => Promise<Written<LedgerAnswers[T]>>;

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
    const prepare: { readonly [E in EntryType]: (entry: LedgerEntries[E]) => Promise<Writer<E>> } = {
      WRITE: ({ changes }) => this.#write(changes),
      PUSH_INTENT: async (intent) => (trx) => this.#intend(trx, intent),
      KEEP_ARTIFACT: (artifact) => this.#keep(artifact),
      TAKE_TURN:
        async ({ end }) =>
        async (trx, { phase }) => ({
          answer: await writeTurn(trx, { ...this.#build, phase }, end),
          topics: this.#ownTopics,
        }),
      EXPIRE_QUESTIONS: async () => (trx) => this.#expire(trx),
      FINISH:
        async ({ conclusion }) =>
        async (trx) => {
          const { attemptNo } = this.#build;
          const topics = await writeFinish(trx, {
            build: this.#build,
            attemptNo,
            conclusion,
            queue: this.#deps.queue,
          });
          return { answer: null, topics };
        },
      RELEASE:
        async ({ message }) =>
        (trx) =>
          this.#release(trx, message),
      LOSE_WORKSPACE:
        async ({ message }) =>
        async (trx) => {
          const buildId = this.#build.id;
          await this.#append(trx, await withdrawQuestions(trx, buildId));
          const { topics, ended } = await writeLostWorkspace(trx, this.#deps.queue, { buildId, message });
          return { answer: ended ? 'finished' : 'released', topics };
        },
      WAIT_FOR_QUOTA:
        async ({ wait }) =>
        async (trx) => {
          const topics = await writeQuotaWait(trx, this.#deps.queue, { ...wait, buildId: this.#build.id });
          return { answer: topics !== null, topics: topics ?? [] };
        },
    };
    const write = await prepare[type](entry);
    const { answer, topics } = await untilAnswered(() => this.#try(number, type, write));
    this.#deps.hub.announce(...(topics ?? []));
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

  async #try<T extends EntryType>(number: number, type: T, write: Writer<T>): Promise<Written<LedgerAnswers[T]>> {
    const result = await this.#deps.db.transaction().execute(async (trx) => {
      const fence = await this.#passFence(trx, number);
      if ('applied' in fence)
        return { answer: fence.applied as LedgerAnswers[T], topics: [...this.#ownTopics, QUEUE_TOPIC] };
      const written = await write(trx, fence);
      if (type !== 'WRITE') await this.#keepAnswer(trx, written.answer);
      await failpoint('ledger.written');
      return written;
    });
    await failpoint('ledger.committed');
    return result;
  }

  get #ownTopics(): readonly Topic[] {
    return [eventsTopic(this.#build.id), projectTopic(this.#build.projectId)];
  }

  #superseded(): SupersededError {
    return new SupersededError(`attempt ${this.#build.attemptNo} of build ${this.#build.id} is over`);
  }

  async #passFence(trx: DatabaseTransaction, number: number): Promise<Fence | { readonly applied: unknown }> {
    const { id, attemptNo } = this.#build;
    const passed = await trx
      .updateTable('build_audit')
      .set({
        ledger_no: number,
        // That of a remote worker may be longer. A heartbeat passes by a row that is held, and over a slow network this row is held nearly all the time.
        lease_until: sql<Date>`case when lease_until is not null
          then greatest(lease_until, now() + make_interval(secs => ${LEASE_SECONDS})) end`,
      })
      .where('id', '=', id)
      .where('attempt_no', '=', attemptNo)
      .where('status', '=', 'RUNNING')
      .where('ledger_no', '=', number - 1)
      .returning(['last_line', 'phase', 'usage'])
      .executeTakeFirst();
    if (passed) return passed;
    const row = await trx
      .selectFrom('build_audit')
      .select(['attempt_no', 'ledger_no', 'ledger_answer'])
      .where('id', '=', id)
      .executeTakeFirst();
    if (row?.attempt_no === attemptNo && row.ledger_no === number) return { applied: row.ledger_answer };
    throw this.#superseded();
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

  async #write(changes: LedgerChanges): Promise<Writer<'WRITE'>> {
    const { events = [], lines = [], talk, usage } = changes;
    const content = lines.length > 0 ? await encodeLines(lines) : null;
    const { id: buildId, attemptNo, projectId } = this.#build;
    const topics: Topic[] = [];
    if (events.length > 0 || talk) topics.push(eventsTopic(buildId));
    if (content) topics.push(logTopic(buildId));
    if (talk || events.some((event) => MILESTONES[event.type])) topics.push(projectTopic(projectId));
    return async (trx, fence) => {
      await this.#set(trx, changes);
      if (content) {
        const firstLine = fence.last_line + 1;
        await insertLogChunk(trx, { buildId, attemptNo, firstLine, lineCount: lines.length, content });
        await sql`update build_audit set last_line = last_line + ${lines.length} where id = ${buildId}`.execute(trx);
      }
      const said = talk ? await this.#talk(trx, talk) : [];
      await this.#append(trx, [...events, ...said]);
      // Last: builds of one project wait for each other's commit here.
      if (usage) await this.#spend(trx, fence.usage as Usage | null, usage);
      return { answer: null, topics };
    };
  }

  async #set(trx: DatabaseTransaction, changes: LedgerChanges): Promise<void> {
    const { phase, checkpoint, baseSha, pushedSha } = changes;
    if (!phase && !checkpoint && baseSha === undefined && !pushedSha) return;
    await trx
      .updateTable('build_audit')
      .set({
        ...(phase ? { phase } : {}),
        ...(checkpoint ? { checkpoint: sql<string>`checkpoint || ${JSON.stringify(checkpoint)}::jsonb` } : {}),
        ...(baseSha === undefined ? {} : { base_sha: baseSha }),
        ...(pushedSha ? { pushed_sha: pushedSha } : {}),
      })
      .where('id', '=', this.#build.id)
      .execute();
    if (pushedSha) await forgetIntendedCommit(trx, this.#build.id);
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

  async #spend(trx: DatabaseTransaction, before: Usage | null, usage: Usage): Promise<void> {
    const { id, projectId } = this.#build;
    await trx
      .updateTable('build_audit')
      .set({ usage: JSON.stringify(usage) })
      .where('id', '=', id)
      .execute();
    await recordSpend(trx, projectId, spendSince(before, usage));
  }

  async #intend(trx: DatabaseTransaction, { commit, pack }: LedgerEntries['PUSH_INTENT']): Promise<Written<boolean>> {
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
  async #keep({ file, content }: LedgerEntries['KEEP_ARTIFACT']): Promise<Writer<'KEEP_ARTIFACT'>> {
    const artifact = { ...file, ...(await this.#deps.artifacts.put(content())) };
    await failpoint('collect.stored');
    const { id: artifactId, name, sizeBytes } = artifact;
    return async (trx) => {
      await insertArtifacts(trx, [{ ...artifact, buildId: this.#build.id }]);
      await this.#append(trx, [{ type: 'ARTIFACT_CREATED', data: { artifactId, name, sizeBytes } }]);
      return { answer: artifact, topics: this.#ownTopics };
    };
  }

  async #expire(trx: DatabaseTransaction): Promise<Written<boolean>> {
    const { id, spec } = this.#build;
    const interaction = spec.interaction ?? UNATTENDED;
    const events = await expireQuestions(trx, id, (request, name) => defaultAnswerTo(request, name, interaction));
    await refreshWaiting(trx, id);
    await this.#append(trx, events);
    return { answer: events.length > 0, topics: this.#ownTopics };
  }

  async #release(trx: DatabaseTransaction, message: string): Promise<Written<null>> {
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
