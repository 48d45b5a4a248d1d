/**
 * Everything that a running build writes or asks goes through here: one numbered entry after the other, without the
 * build's secrets. An entry whose answer was lost is tried again, and written once. Who keeps them: `ledger-store.ts`.
 */
import { v7 } from 'uuid';
import type { LogLine } from '../agents/agent.ts';
import { SupersededError } from '../errors.ts';
import type { NewBuildEvent, Usage } from '../events/event.ts';
import type { BuildPhase } from '../events/vocabulary.ts';
import { type Redact, redactAll } from '../runtimes/redact.ts';
import { enterStage } from '../telemetry/trace-scope.ts';
import type { ClaimedBuild } from './build.ts';
import { MAX_LOG_TEXT } from './build-log.ts';
import type { ResultArtifact } from './build-result.ts';
import type { Checkpoint, IntendedCommit } from './checkpoint.ts';
import type { Conclusion } from './finish-build.ts';
import type {
  ArtifactFile,
  EntryType,
  LedgerAnswers,
  LedgerChanges,
  LedgerEntries,
  LedgerQuestions,
  LedgerStore,
  QuestionName,
} from './ledger-store.ts';
import type { QuotaWait } from './quota-pause.ts';
import type { TurnEnd } from './take-turn.ts';

export class Ledger {
  readonly #store: LedgerStore;
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

  constructor(store: LedgerStore, build: ClaimedBuild) {
    this.#store = store;
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
  async write({ events: said = [], checkpoint, lines: printed = [], ...given }: LedgerChanges): Promise<void> {
    const events = [...redactAll(this.#redact, said)];
    const { phase, baseSha, usage } = given;
    if (phase && phase !== this.#phase)
      events.unshift({ type: 'PHASE_CHANGED', data: { from: this.#phase, to: phase } });
    const lines = this.#withinLogLimit(printed, events);
    const kept = checkpoint && this.#redactOutcome(checkpoint);
    const { talk } = given;
    await this.#commit('WRITE', {
      changes: {
        ...given,
        events,
        lines,
        ...(kept ? { checkpoint: kept } : {}),
        ...(talk?.asked
          ? { talk: { ...talk, asked: { ...talk.asked, questions: redactAll(this.#redact, talk.asked.questions) } } }
          : {}),
      },
    });
    if (phase) this.#phase = enterStage(phase);
    this.#checkpoint = { ...this.#checkpoint, ...kept };
    if (baseSha !== undefined) this.#baseSha = baseSha;
    if (usage) this.#usage = usage;
  }

  /**
   * Records which commit is about to be pushed; from here on the agent is never run again and the build can no longer
   * be cancelled. False when somebody asked to cancel before: then nothing may be pushed.
   */
  async recordPushIntent(given: IntendedCommit, pack: Buffer | null): Promise<boolean> {
    const commit = { ...given, filesChanged: redactAll(this.#redact, given.filesChanged) };
    this.#pushIntended = true;
    const allowed = await this.#commit('PUSH_INTENT', { commit, pack });
    if (allowed) this.#checkpoint = { ...this.#checkpoint, commit };
    return allowed;
  }

  /** Keeps the file and tells of it. `content` begins anew each time that it is called. */
  keepArtifact(file: Omit<ArtifactFile, 'id'>, content: () => AsyncIterable<Uint8Array>): Promise<ResultArtifact> {
    return this.#commit('KEEP_ARTIFACT', { file: { ...file, id: v7() }, content });
  }

  /** The terminal state, the last event, the callback and the queue's job, all or nothing. */
  async finish(conclusion: Conclusion): Promise<void> {
    await this.#commit('FINISH', { conclusion: redactAll(this.#redact, conclusion) });
  }

  /** Back into the queue, for any worker. The agent has been ended: nobody waits for an answer any more. */
  async release(message: string): Promise<void> {
    await this.#commit('RELEASE', { message });
  }

  /** Its workspace is gone: back into the queue, or the end where that was too often. */
  loseWorkspace(message: string): Promise<'released' | 'finished'> {
    return this.#commit('LOSE_WORKSPACE', { message });
  }

  /**
   * Back into the queue until the provider takes requests again, which holds those that have not begun with the same key,
   * too. False when somebody asked to cancel: then it is not put back.
   */
  waitForQuota(wait: QuotaWait): Promise<boolean> {
    return this.#commit('WAIT_FOR_QUOTA', { wait: { ...wait, message: this.#redact(wait.message) } });
  }

  /**
   * Takes what people said that the agent is to hear in another run; see `writeTurn`. False when there is nothing: unless
   * the agent was interrupted it has finished then, and from here on no message is accepted.
   */
  async takeTurn(end: TurnEnd): Promise<boolean> {
    const turn = await this.#commit('TAKE_TURN', { end });
    if (turn) this.#checkpoint = { ...this.#checkpoint, agentOutcome: null, pausedSession: end.session, turn };
    else if (!end.interrupted) this.#phase = enterStage('VERIFYING');
    return turn !== null;
  }

  /** Gives every question that has waited too long its default; false when there was none. */
  expireQuestions(): Promise<boolean> {
    return this.#commit('EXPIRE_QUESTIONS', {});
  }

  /** One question about the build; waits out a restart of the database, as the writes do. */
  ask<Q extends QuestionName>(
    question: Q,
    ...[asks = {}]: object extends LedgerQuestions[Q]['asks'] ? [] : [LedgerQuestions[Q]['asks']]
  ): Promise<LedgerQuestions[Q]['answer']> {
    return this.#store.ask(question, asks as LedgerQuestions[Q]['asks']);
  }

  /** One numbered entry after the other. */
  #commit<T extends EntryType>(type: T, entry: LedgerEntries[T]): Promise<LedgerAnswers[T]> {
    const result = this.#tail.then(() => this.#commitNext(type, entry));
    this.#tail = result.catch(() => {});
    return result;
  }

  /** An entry that was refused leaves its number free; of one that was never answered, the row knows. */
  async #commitNext<T extends EntryType>(type: T, entry: LedgerEntries[T]): Promise<LedgerAnswers[T]> {
    if (this.#unanswered) this.#writes = await this.#store.lastNumber();
    this.#unanswered = false;
    const number = this.#writes + 1;
    try {
      const answer = await this.#store.commit(number, type, entry);
      this.#writes = number;
      return answer;
    } catch (error) {
      this.#unanswered = !(error instanceof SupersededError);
      throw error;
    }
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
