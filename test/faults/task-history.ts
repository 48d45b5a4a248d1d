/** What those were told that enqueue tasks and work on them; a part of `history.ts`. Ids are UUIDs without their prefix. */

export interface TaskHistory {
  /** Answers that gave a task; a key that was sent twice may be here twice. */
  readonly accepted: readonly AcceptedTask[];
  /** Keys that were sent and to which no answer ever came: there may be a task, or none. */
  readonly unanswered: readonly AskedTask[];
  /** The API said that the task is, or will be, cancelled, unless its worker completes it. */
  readonly cancelled: readonly string[];
  /** Tasks that claimants were given. */
  readonly claims: readonly TaskClaim[];
  readonly words: readonly TaskWord[];
}

export interface AskedTask {
  readonly projectId: string;
  readonly idempotencyKey: string;
}

export interface AcceptedTask extends AskedTask {
  readonly taskId: string;
}

export interface TaskClaim {
  readonly taskId: string;
  readonly leaseToken: string;
  readonly attempt: number;
  readonly leaseSeconds: number;
  /** When its answer was there: the lease began before. Milliseconds since 1970, as all times here. */
  readonly at: number;
}

/** What a claimant has said, until it was answered or given up. */
export interface TaskWord {
  readonly taskId: string;
  readonly leaseToken: string;
  readonly word: 'HEARTBEAT' | 'COMPLETE' | 'FAIL' | 'RELEASE';
  /** Of COMPLETE. */
  readonly result: unknown;
  readonly firstSentAt: number;
  /** Null while there is no answer. */
  answeredAt: number | null;
  /** False: the answer was that the lease is lost. */
  acknowledged: boolean;
}

export class TaskRecorder implements TaskHistory {
  readonly #asked = new Map<string, AskedTask>();
  readonly accepted: AcceptedTask[] = [];
  readonly cancelled: string[] = [];
  readonly claims: TaskClaim[] = [];
  readonly words: TaskWord[] = [];

  get unanswered(): readonly AskedTask[] {
    const answered = new Set(this.accepted.map(keyOf));
    return [...this.#asked].flatMap(([key, asked]) => (answered.has(key) ? [] : [asked]));
  }

  /** Before a mutation with this key is sent for the first time. */
  asked(task: AskedTask): void {
    this.#asked.set(keyOf(task), task);
  }

  /** The API refused: no task may have this key. */
  refused(task: AskedTask): void {
    this.#asked.delete(keyOf(task));
  }

  /** Before the word is sent for the first time; the answer is written into what this gives. */
  says(word: Pick<TaskWord, 'taskId' | 'leaseToken' | 'word'> & { readonly result?: unknown }): TaskWord {
    const said = { result: null, ...word, firstSentAt: Date.now(), answeredAt: null, acknowledged: false };
    this.words.push(said);
    return said;
  }
}

export function answered(word: TaskWord, acknowledged: boolean): void {
  word.answeredAt = Date.now();
  word.acknowledged = acknowledged;
}

function keyOf({ projectId, idempotencyKey }: AskedTask): string {
  return `${projectId} ${idempotencyKey}`;
}
