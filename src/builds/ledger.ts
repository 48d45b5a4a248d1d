/**
 * Everything that a running build writes or asks goes through here, fenced by its attempt: one object, so that a
 * remote worker can do the same over the API one day.
 *
 * Writes are numbered. When the answer of a write is lost (Postgres restarts), it is tried again, and the number tells
 * whether the first try had come through; so nothing is written twice.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { sql } from 'kysely';
import type { LogLine } from '../agents/agent.ts';
import { insertArtifacts, type NewArtifact } from '../artifacts/artifact.ts';
import type { Database, DatabaseTransaction } from '../database/database.ts';
import { isTransient } from '../database/transient.ts';
import { appendEvents } from '../events/append-events.ts';
import { MILESTONES, type NewBuildEvent } from '../events/event.ts';
import type { EventHub } from '../events/event-hub.ts';
import { eventsTopic, logTopic, projectTopic, type Topic } from '../events/topics.ts';
import type { BuildPhase } from '../events/vocabulary.ts';
import type { Queue } from '../queue/queue.ts';
import type { ClaimedBuild } from './build.ts';
import { encodeLines, insertLogChunk, MAX_LOG_TEXT } from './build-log.ts';
import type { Checkpoint } from './checkpoint.ts';
import { type Conclusion, writeFinish } from './finish-build.ts';
import { requeueBuild } from './requeue-build.ts';

/** The attempt is no longer the build's current one: stop, and write nothing more. */
export class SupersededError extends Error {
  override readonly name = 'SupersededError';
}

/** A write that keeps failing for this long gives up; the lease is long gone then. */
const RETRY_LIMIT_MS = 10 * 60_000;

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
}

export class Ledger {
  readonly #deps: LedgerDeps;
  readonly #build: ClaimedBuild;
  #writes = 0;
  #phase: BuildPhase;
  #pushIntended: boolean;
  #logText = 0;
  #tail: Promise<unknown> = Promise.resolve();

  constructor(deps: LedgerDeps, build: ClaimedBuild) {
    this.#deps = deps;
    this.#build = build;
    this.#phase = build.phase;
    this.#pushIntended = build.pushIntentSha !== null;
  }

  get phase(): BuildPhase {
    return this.#phase;
  }

  /** The commit of this build is on its way, or there. */
  get pushIntended(): boolean {
    return this.#pushIntended;
  }

  /** Writes all of it in one transaction. Throws SupersededError when the attempt is over. */
  async write(changes: LedgerChanges): Promise<void> {
    const events = [...(changes.events ?? [])];
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
      if (events.length > 0) await this.#append(trx, events);
    });
    if (phase) this.#phase = phase;
    const topics: Topic[] = [];
    if (events.length > 0) topics.push(eventsTopic(this.#build.id));
    if (content) topics.push(logTopic(this.#build.id));
    if (events.some((event) => MILESTONES[event.type])) topics.push(projectTopic(this.#build.projectId));
    this.#deps.hub.announce(...topics);
  }

  /**
   * Records which commit is about to be pushed; from here on the agent is never run again and the build can no longer
   * be cancelled. False when somebody asked to cancel before: then nothing may be pushed.
   */
  async recordPushIntent(
    intent: NonNullable<Checkpoint['commit']>,
    events: readonly NewBuildEvent[],
  ): Promise<boolean> {
    let allowed = false;
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
      if (allowed && events.length > 0) await this.#append(trx, events);
    });
    this.#deps.hub.announce(eventsTopic(this.#build.id), projectTopic(this.#build.projectId));
    return allowed;
  }

  /** The terminal state, the last event, the callback and the queue's job, all or nothing. */
  async finish(conclusion: Conclusion): Promise<void> {
    const announce = await this.#commit((trx) =>
      writeFinish(trx, { build: this.#build, attemptNo: this.#build.attemptNo, conclusion, queue: this.#deps.queue }),
    );
    if (announce) this.#deps.hub.announce(...announce);
  }

  /** Back into the queue, for any worker. */
  async release(message: string): Promise<void> {
    const announce = await this.#commit((trx) =>
      requeueBuild(trx, this.#deps.queue, { buildId: this.#build.id, outcome: 'RELEASED', reason: 'DRAIN', message }),
    );
    if (announce) this.#deps.hub.announce(...announce);
  }

  /**
   * Runs one numbered write, one after the other, in a transaction that holds the build's row. Returns null when an
   * earlier try of this same write had come through.
   */
  #commit<T>(write: (trx: DatabaseTransaction, lastLine: number) => Promise<T>): Promise<T | null> {
    const number = this.#writes + 1;
    this.#writes = number;
    const result = this.#tail.then(() => this.#commitWithRetry(number, write));
    this.#tail = result.catch(() => {});
    return result;
  }

  async #commitWithRetry<T>(
    number: number,
    write: (trx: DatabaseTransaction, lastLine: number) => Promise<T>,
  ): Promise<T | null> {
    const giveUpAt = Date.now() + RETRY_LIMIT_MS;
    for (let tries = 1; ; tries += 1) {
      try {
        return await this.#deps.db.transaction().execute(async (trx) => {
          const fence = await this.#passFence(trx, number);
          return fence === 'applied' ? null : await write(trx, fence.last_line);
        });
      } catch (error) {
        if (!isTransient(error) || Date.now() > giveUpAt) throw error;
        await delay(Math.min(2_000, 50 * 2 ** Math.min(tries, 6)) * (0.5 + Math.random() / 2));
      }
    }
  }

  async #passFence(trx: DatabaseTransaction, number: number): Promise<{ last_line: number } | 'applied'> {
    const { id, attemptNo } = this.#build;
    const passed = await trx
      .updateTable('build_audit')
      .set({ ledger_no: number })
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
  }

  async #append(trx: DatabaseTransaction, events: readonly NewBuildEvent[]): Promise<void> {
    await appendEvents(trx, { buildId: this.#build.id, attemptNo: this.#build.attemptNo }, events);
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
