/**
 * Everything that a running build writes or asks goes through here, fenced by its attempt. Writes are numbered: one whose
 * answer was lost (Postgres restarts) is tried again, and written once.
 */
import { sql } from 'kysely';
import type { LogLine } from '../agents/agent.ts';
import { insertArtifacts, type NewArtifact } from '../artifacts/artifact.ts';
import type { Database, DatabaseTransaction } from '../database/database.ts';
import { isTransient } from '../database/transient.ts';
import { untilAnswered } from '../database/until-answered.ts';
import { SupersededError } from '../errors.ts';
import { appendEvents } from '../events/append-events.ts';
import { MILESTONES, type NewBuildEvent, type Usage } from '../events/event.ts';
import type { EventHub } from '../events/event-hub.ts';
import { eventsTopic, logTopic, projectTopic, type Topic } from '../events/topics.ts';
import type { BuildPhase, MessageMode } from '../events/vocabulary.ts';
import type { Queue } from '../queue/queue.ts';
import { type Redact, redactAll } from '../runtimes/redact.ts';
import { failpoint } from '../std/failpoint.ts';
import { enterStage } from '../telemetry/trace-scope.ts';
import type { ClaimedBuild } from './build.ts';
import { encodeLines, insertLogChunk, MAX_LOG_TEXT } from './build-log.ts';
import { markDelivered } from './build-message.ts';
import {
  type AskedQuestions,
  type DefaultAnswer,
  expireQuestions,
  openQuestions,
  refreshWaiting,
  withdrawQuestions,
} from './build-question.ts';
import type { Checkpoint, IntendedCommit, Turn } from './checkpoint.ts';
import { type Conclusion, writeFinish } from './finish-build.ts';
import { forgetIntendedCommit, keepIntendedCommit } from './intended-commit.ts';
import { LEASE_SECONDS } from './lease.ts';
import { writeLostWorkspace } from './lost-attempt.ts';
import { type QuotaWait, writeQuotaWait } from './quota-pause.ts';
import { requeueBuild } from './requeue-build.ts';
import { recordSpend, spendSince } from './spend.ts';
import { type TurnEnd, writeTurn } from './take-turn.ts';

export interface LedgerDeps {
  readonly db: Database;
  readonly hub: EventHub;
  readonly queue: Queue;
}

export interface LedgerChanges {
  readonly phase?: BuildPhase;
  readonly events?: readonly NewBuildEvent[];
  readonly lines?: readonly LogLine[];
  /** Members to set; the others stay. */
  readonly checkpoint?: Checkpoint;
  readonly baseSha?: string | null;
  readonly pushedSha?: string;
  readonly artifacts?: readonly NewArtifact[];
  /** What the build has used so far in all, over all runs of its agent. */
  readonly usage?: Usage | null;
  readonly talk?: TalkChanges;
}

/** What was said between people and the agent. */
export interface TalkChanges {
  readonly asked?: AskedQuestions;
  /** By the agent's names. `all`: there is nobody any more who waits for an answer. */
  readonly withdrawn?: readonly string[] | 'all';
  readonly delivered?: { readonly ids: readonly string[]; readonly as: MessageMode };
}

export class Ledger {
  readonly #deps: LedgerDeps;
  readonly #build: ClaimedBuild;
  #redact: Redact = (text) => text;
  #writes = 0;
  #unanswered = false;
  #checkpoint: Checkpoint;
  #baseSha: string | null;
  #phase: BuildPhase;
  #usage: Usage | null;
  #pushIntended: boolean;
  #logText = 0;
  #tail: Promise<unknown> = Promise.resolve();

  constructor(deps: LedgerDeps, build: ClaimedBuild) {
    this.#deps = deps;
    this.#build = build;
    this.#phase = build.phase;
    this.#pushIntended = build.pushIntentSha !== null;
    this.#checkpoint = build.checkpoint;
    this.#baseSha = build.baseSha;
    this.#usage = build.usage;
  }

  /**
   * From now on nothing that is written holds a secret of the build: neither an event, nor a result, nor the name of a
   * file. Lines of the log are not looked at again, they were when they were read.
   */
  protect(redact: Redact): void {
    this.#redact = redact;
  }

  get phase(): BuildPhase {
    return this.#phase;
  }

  /** As it is on the row after the last write. */
  get checkpoint(): Checkpoint {
    return this.#checkpoint;
  }

  /** The commit that the checkout stands on; null in an empty repository. */
  get baseSha(): string | null {
    return this.#baseSha;
  }

  /** What the build has used in all; null while nothing is known. */
  get usage(): Usage | null {
    return this.#usage;
  }

  /** The commit of this build is on its way, or there. */
  get pushIntended(): boolean {
    return this.#pushIntended;
  }

  /** Writes all of it in one transaction. Throws SupersededError when the attempt is over. */
  async write({ events: said = [], checkpoint, ...given }: LedgerChanges): Promise<void> {
    const events = [...redactAll(this.#redact, said)];
    const changes = { ...given, ...(checkpoint ? { checkpoint: this.#redactOutcome(checkpoint) } : {}) };
    const { phase } = changes;
    if (phase && phase !== this.#phase)
      events.unshift({ type: 'PHASE_CHANGED', data: { from: this.#phase, to: phase } });
    const lines = this.#withinLogLimit(changes.lines ?? [], events);
    const content = lines.length > 0 ? await encodeLines(lines) : null;
    await this.#commit(async (trx, lastLine) => {
      await this.#set(trx, changes);
      if (content) {
        const { id: buildId, attemptNo } = this.#build;
        const firstLine = lastLine + 1;
        await insertLogChunk(trx, { buildId, attemptNo, firstLine, lineCount: lines.length, content });
        await sql`update build_audit set last_line = last_line + ${lines.length} where id = ${buildId}`.execute(trx);
      }
      if (changes.artifacts?.length) await insertArtifacts(trx, changes.artifacts);
      const said = changes.talk ? await this.#talk(trx, changes.talk) : [];
      if (events.length + said.length > 0) await this.#append(trx, [...events, ...said]);
      // Last: builds of one project wait for each other's commit here.
      if (changes.usage) await this.#spend(trx, changes.usage);
    });
    if (phase) this.#phase = enterStage(phase);
    this.#checkpoint = { ...this.#checkpoint, ...changes.checkpoint };
    if (changes.baseSha !== undefined) this.#baseSha = changes.baseSha;
    if (changes.usage) this.#usage = changes.usage;
    const topics: Topic[] = [];
    if (events.length > 0 || changes.talk) topics.push(eventsTopic(this.#build.id));
    if (content) topics.push(logTopic(this.#build.id));
    if (changes.talk || events.some((event) => MILESTONES[event.type]))
      topics.push(projectTopic(this.#build.projectId));
    this.#deps.hub.announce(...topics);
  }

  /**
   * Records which commit is about to be pushed; from here on the agent is never run again and the build can no longer
   * be cancelled. False when somebody asked to cancel before: then nothing may be pushed. `pack` lets any worker push
   * it; null leaves what is kept of this commit as it is.
   */
  async recordPushIntent(commit: IntendedCommit, pack: Buffer | null): Promise<boolean> {
    let allowed = false;
    const intent = { ...commit, filesChanged: redactAll(this.#redact, commit.filesChanged) };
    this.#pushIntended = true;
    await this.#commit(async (trx) => {
      const result = await trx
        .updateTable('build_audit')
        .set({
          push_intent_sha: intent.sha,
          checkpoint: sql`checkpoint || ${JSON.stringify({ commit: intent })}::jsonb`,
        })
        .where('id', '=', this.#build.id)
        .where('cancel_requested_at', 'is', null)
        .executeTakeFirst();
      allowed = result.numUpdatedRows === 1n;
      if (allowed && pack) await keepIntendedCommit(trx, this.#build.id, { sha: intent.sha, pack });
      await failpoint('publish.intending');
    });
    if (allowed) this.#checkpoint = { ...this.#checkpoint, commit: intent };
    this.#deps.hub.announce(eventsTopic(this.#build.id), projectTopic(this.#build.projectId));
    return allowed;
  }

  /** The terminal state, the last event, the callback and the queue's job, all or nothing. */
  async finish(end: Conclusion): Promise<void> {
    const conclusion = redactAll(this.#redact, end);
    const announce = await this.#commit((trx) =>
      writeFinish(trx, { build: this.#build, attemptNo: this.#build.attemptNo, conclusion, queue: this.#deps.queue }),
    );
    if (announce) this.#deps.hub.announce(...announce);
  }

  /** Back into the queue, for any worker. The agent has been ended: nobody waits for an answer any more. */
  async release(message: string): Promise<void> {
    const why = { buildId: this.#build.id, outcome: 'RELEASED', reason: 'DRAIN', message } as const;
    const announce = await this.#commit(async (trx) => {
      await this.#append(trx, await withdrawQuestions(trx, this.#build.id));
      return requeueBuild(trx, this.#deps.queue, why);
    });
    this.#deps.hub.announce(...(announce ?? []));
  }

  /** Its workspace is gone: back into the queue, or the end where that was too often; told also where an answer was lost. */
  async loseWorkspace(message: string): Promise<'released' | 'finished'> {
    const written = { topics: [] as readonly Topic[], ended: false };
    await this.#commit(async (trx) => {
      await this.#append(trx, await withdrawQuestions(trx, this.#build.id));
      Object.assign(written, await writeLostWorkspace(trx, this.#deps.queue, { buildId: this.#build.id, message }));
    });
    this.#deps.hub.announce(...written.topics);
    return written.ended ? 'finished' : 'released';
  }

  /**
   * Back into the queue until the provider takes requests again, which holds those that have not begun with the same key,
   * too. False when somebody asked to cancel: then it is not put back.
   */
  async waitForQuota(wait: QuotaWait): Promise<boolean> {
    let cancelled = false;
    const announce = await this.#commit(async (trx) => {
      const topics = await writeQuotaWait(trx, this.#deps.queue, {
        ...wait,
        buildId: this.#build.id,
        message: this.#redact(wait.message),
      });
      cancelled = topics === null;
      return topics ?? [];
    });
    if (announce) this.#deps.hub.announce(...announce);
    return !cancelled;
  }

  /**
   * Takes what people said that the agent is to hear in another run; see `writeTurn`. False when there is nothing: unless
   * the agent was interrupted it has finished then, and from here on no message is accepted.
   */
  async takeTurn(end: TurnEnd): Promise<boolean> {
    let turn: Turn | null = null;
    await this.#commit(async (trx) => {
      turn = await writeTurn(trx, { ...this.#build, phase: this.#phase }, end);
    });
    const next = turn as Turn | null;
    if (next) this.#checkpoint = { ...this.#checkpoint, agentOutcome: null, pausedSession: end.session, turn: next };
    else if (!end.interrupted) this.#phase = enterStage('VERIFYING');
    this.#deps.hub.announce(eventsTopic(this.#build.id), projectTopic(this.#build.projectId));
    return next !== null;
  }

  /** Gives every question that has waited too long the answer that `defaultOf` says; false when there was none. */
  async expireQuestions(defaultOf: DefaultAnswer): Promise<boolean> {
    let events: readonly NewBuildEvent[] = [];
    await this.#commit(async (trx) => {
      const { id } = this.#build;
      events = await expireQuestions(trx, id, defaultOf);
      await refreshWaiting(trx, id);
      await this.#append(trx, events);
    });
    this.#deps.hub.announce(eventsTopic(this.#build.id), projectTopic(this.#build.projectId));
    return events.length > 0;
  }

  /** A read that waits out a restart of the database, as the writes do. */
  async read<T>(query: (db: Database) => Promise<T>): Promise<T> {
    return untilAnswered(() => query(this.#deps.db));
  }

  /** One numbered write after the other, in a transaction that holds the row; null when an earlier try had come through. */
  #commit<T>(write: (trx: DatabaseTransaction, lastLine: number) => Promise<T>): Promise<T | null> {
    const result = this.#tail.then(() => this.#commitNext(write));
    this.#tail = result.catch(() => {});
    return result;
  }

  /** A write that was refused leaves its number free; of one that was never answered, the row knows. */
  async #commitNext<T>(write: (trx: DatabaseTransaction, lastLine: number) => Promise<T>): Promise<T | null> {
    if (this.#unanswered) await this.#recount();
    const number = this.#writes + 1;
    try {
      const result = await untilAnswered(() => this.#try(number, write));
      this.#writes = number;
      return result;
    } catch (error) {
      this.#unanswered = isTransient(error);
      throw error;
    }
  }

  async #try<T>(number: number, write: (trx: DatabaseTransaction, lastLine: number) => Promise<T>): Promise<T | null> {
    const result = await this.#deps.db.transaction().execute(async (trx) => {
      const fence = await this.#passFence(trx, number);
      const written = fence === 'applied' ? null : await write(trx, fence.last_line);
      await failpoint('ledger.written');
      return written;
    });
    await failpoint('ledger.committed');
    return result;
  }

  async #recount(): Promise<void> {
    const { id, attemptNo } = this.#build;
    const row = await this.read((db) =>
      db
        .selectFrom('build_audit')
        .select('ledger_no')
        .where('id', '=', id)
        .where('attempt_no', '=', attemptNo)
        .executeTakeFirst(),
    );
    if (!row) throw new SupersededError(`attempt ${attemptNo} of build ${id} is over`);
    this.#writes = row.ledger_no;
    this.#unanswered = false;
  }

  async #passFence(trx: DatabaseTransaction, number: number): Promise<{ last_line: number } | 'applied'> {
    const { id, attemptNo } = this.#build;
    const passed = await trx
      .updateTable('build_audit')
      .set({
        ledger_no: number,
        // A heartbeat passes by a row that is held, and over a slow network this row is held nearly all the time.
        lease_until: sql<Date>`case when lease_until is not null then now() + make_interval(secs => ${LEASE_SECONDS}) end`,
      })
      .where('id', '=', id)
      .where('attempt_no', '=', attemptNo)
      .where('status', '=', 'RUNNING')
      .where('ledger_no', '=', number - 1)
      .returning('last_line')
      .executeTakeFirst();
    if (passed) return passed;
    const row = await trx
      .selectFrom('build_audit')
      .select(['attempt_no', 'ledger_no'])
      .where('id', '=', id)
      .executeTakeFirst();
    if (row?.attempt_no === attemptNo && row.ledger_no === number) return 'applied';
    throw new SupersededError(`attempt ${attemptNo} of build ${id} is over`);
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
      ...(asked ? await openQuestions(trx, id, { ...asked, questions: redactAll(this.#redact, asked.questions) }) : []),
      ...(withdrawn ? await withdrawQuestions(trx, id, withdrawn === 'all' ? undefined : withdrawn) : []),
    ];
    await refreshWaiting(trx, id);
    return events;
  }

  async #spend(trx: DatabaseTransaction, usage: Usage): Promise<void> {
    const { id, projectId } = this.#build;
    await trx
      .updateTable('build_audit')
      .set({ usage: JSON.stringify(usage) })
      .where('id', '=', id)
      .execute();
    await recordSpend(trx, projectId, spendSince(this.#usage, usage));
  }

  async #append(trx: DatabaseTransaction, events: readonly NewBuildEvent[]): Promise<void> {
    await appendEvents(trx, { buildId: this.#build.id, attemptNo: this.#build.attemptNo }, events);
  }

  #redactOutcome(checkpoint: Checkpoint): Checkpoint {
    const { agentOutcome } = checkpoint;
    return agentOutcome ? { ...checkpoint, agentOutcome: redactAll(this.#redact, agentOutcome) } : checkpoint;
  }

  #withinLogLimit(lines: readonly LogLine[], events: NewBuildEvent[]): readonly LogLine[] {
    if (this.#logText > MAX_LOG_TEXT) return [];
    for (const line of lines) this.#logText += line.text.length;
    if (this.#logText > MAX_LOG_TEXT) {
      const message = `The log is full (${MAX_LOG_TEXT / 1024 / 1024} MiB): what follows is not kept.`;
      events.push({ type: 'WARNING', data: { message } });
    }
    return lines;
  }
}
