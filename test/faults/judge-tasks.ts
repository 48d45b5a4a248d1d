/** Tasks: each one's rows against each other, and against what those were told that enqueue them and work on them. */
import { isDeepStrictEqual } from 'node:util';
import type { Database } from '../../src/database/database.ts';
import type { TaskStatus } from '../../src/tasks/task.ts';
import type { TaskEventType } from '../../src/tasks/task-events.ts';
import type { Violation } from './promises.ts';
import type { TaskClaim, TaskHistory, TaskWord } from './task-history.ts';

/** Between two clocks that round to milliseconds, and a statement's beginning and its row. */
const CLOCK_MS = 50;

export interface TaskRecord {
  readonly id: string;
  readonly projectId: string;
  readonly type: string;
  readonly status: TaskStatus;
  readonly idempotencyKey: string | null;
  readonly callbackUrl: string | null;
  readonly attemptNo: number;
  readonly failures: number;
  readonly maxAttempts: number;
  readonly lastSeq: number;
  readonly endedLease: string | null;
  readonly result: unknown;
}

interface TaskEventRecord {
  readonly taskId: string;
  readonly seq: number;
  readonly attemptNo: number;
  readonly type: TaskEventType;
  readonly at: Date;
  /** Of FINISHED. */
  readonly status: string | undefined;
}

export interface TaskVerdict {
  readonly violations: readonly Violation[];
  readonly tasks: readonly TaskRecord[];
  readonly byStatus: Readonly<Partial<Record<TaskStatus, number>>>;
  readonly attempts: number;
}

/** Every task that is no build, when all of them should have ended. */
export async function judgeTasks(db: Database, history: TaskHistory): Promise<TaskVerdict> {
  const tasks = await readTasks(db);
  const events = Map.groupBy(await readEvents(db), ({ taskId }) => taskId);
  const violations = [...judgeAcceptance(tasks, history), ...judgeCancels(tasks, history)];
  const words = Map.groupBy(history.words, ({ taskId }) => taskId);
  const claims = Map.groupBy(history.claims, ({ taskId }) => taskId);
  const byStatus: Partial<Record<TaskStatus, number>> = {};
  for (const task of tasks) {
    byStatus[task.status] = (byStatus[task.status] ?? 0) + 1;
    const own = events.get(task.id) ?? [];
    const said = { events: own, words: words.get(task.id) ?? [], claims: claims.get(task.id) ?? [] };
    for (const detail of [...judgeEvents(task, own), ...judgeCounts(task, own), ...judgeWords(task, said)])
      violations.push({ promise: 'tasks', taskId: task.id, detail });
  }
  return { violations, tasks, byStatus, attempts: tasks.reduce((sum, { attemptNo }) => sum + attemptNo, 0) };
}

function readTasks(db: Database): Promise<TaskRecord[]> {
  return db
    .selectFrom('tasks')
    .select(['id', 'type', 'status', 'failures', 'result', 'project_id as projectId', 'callback_url as callbackUrl'])
    .select(['idempotency_key as idempotencyKey', 'attempt_no as attemptNo', 'max_attempts as maxAttempts'])
    .select(['last_seq as lastSeq', 'ended_lease as endedLease'])
    .orderBy('id')
    .execute();
}

async function readEvents(db: Database): Promise<TaskEventRecord[]> {
  const rows = await db
    .selectFrom('task_events')
    .select(['task_id as taskId', 'seq', 'attempt_no as attemptNo', 'type', 'at', 'data'])
    .orderBy('task_id')
    .orderBy('seq')
    .execute();
  return rows.map(({ type, data, ...row }) => {
    return { ...row, type: type as TaskEventType, status: (data as { status?: string }).status };
  });
}

function judgeAcceptance(tasks: readonly TaskRecord[], { accepted, unanswered }: TaskHistory): Violation[] {
  const violations: Violation[] = [];
  const wrong = (detail: string, taskId: string) => violations.push({ promise: 'tasks', taskId, detail });
  const withKey = tasks.filter(({ idempotencyKey }) => idempotencyKey !== null);
  const byKey = Map.groupBy(withKey, keyOf);
  const known = new Set(tasks.map(({ id }) => id));
  for (const answer of accepted) {
    const found = byKey.get(keyOf(answer)) ?? [];
    const name = `key ${answer.idempotencyKey}`;
    if (!known.has(answer.taskId)) wrong(`accepted for ${name}, and not there`, answer.taskId);
    else if (!found.some(({ id }) => id === answer.taskId)) wrong(`not the task of ${name}`, answer.taskId);
  }
  const asked = new Set([...accepted, ...unanswered].map(keyOf));
  for (const [key, [first, second]] of byKey) {
    if (second) wrong(`a second task for the key ${key}`, second.id);
    if (first && !asked.has(key)) wrong(`nobody asked for the key ${key}`, first.id);
  }
  return violations;
}

function keyOf({ projectId, idempotencyKey }: { projectId: string; idempotencyKey: string | null }): string {
  return `${projectId} ${idempotencyKey}`;
}

/** What its worker has done all the same is done. */
function judgeCancels(tasks: readonly TaskRecord[], { cancelled }: TaskHistory): Violation[] {
  const asked = new Set(cancelled);
  return tasks
    .filter(({ id, status }) => asked.has(id) && status === 'FAILED')
    .map(({ id }) => ({ promise: 'tasks', taskId: id, detail: 'its cancel was acknowledged, and it is FAILED' }));
}

const MAY_WAIT: ReadonlySet<TaskEventType> = new Set(['CLAIMED', 'CANCEL_REQUESTED', 'FINISHED']);

/** Events are 1..N, claims and ends take turns, and the last event is the only end since it was enqueued or requeued. */
function judgeEvents(task: TaskRecord, events: readonly TaskEventRecord[]): string[] {
  const wrong: string[] = [];
  if (events.length !== task.lastSeq) wrong.push(`${events.length} events, and last_seq is ${task.lastSeq}`);
  let attempt = 0;
  let state: 'waits' | 'runs' | 'over' = 'waits';
  for (const [index, { seq, type, attemptNo }] of events.entries()) {
    const name = `event ${seq} (${type}, attempt ${attemptNo})`;
    if (seq !== index + 1) wrong.push(`${name} stands where ${index + 1} must be`);
    if ((type === 'QUEUED') !== (index === 0)) wrong.push(`${name} is number ${index + 1}`);
    if (type === 'CLAIMED') {
      if (state !== 'waits' || attemptNo !== attempt + 1)
        wrong.push(`${name} begins where attempt ${attempt} ${state}`);
      attempt = attemptNo;
    } else if (attemptNo !== attempt) wrong.push(`${name} comes in attempt ${attempt}`);
    if (type === 'REQUEUED' ? state !== 'over' : state === 'over') wrong.push(`${name} comes when it ${state}`);
    if (index > 0 && type !== 'REQUEUED' && state === 'waits' && !MAY_WAIT.has(type))
      wrong.push(`${name} comes while nobody has it`);
    if (type === 'CLAIMED') state = 'runs';
    else if (type === 'FINISHED') state = 'over';
    else if (type === 'RELEASED' || type === 'RETRY_SCHEDULED' || type === 'REQUEUED') state = 'waits';
  }
  if (attempt !== task.attemptNo) wrong.push(`its attempt is ${task.attemptNo}, its events end in ${attempt}`);
  if (state !== 'over') wrong.push(`it is ${task.status}, and its events have no end`);
  const end = events.at(-1);
  if (end?.type === 'FINISHED' && end.status !== task.status)
    wrong.push(`it ended ${end.status} and is ${task.status}`);
  return wrong;
}

/** Failures are those of its events, and as many as are allowed. */
function judgeCounts(task: TaskRecord, events: readonly TaskEventRecord[]): string[] {
  const { failures, maxAttempts, status } = task;
  const round = events.slice(events.findLastIndex(({ type }) => type === 'REQUEUED') + 1);
  const retries = round.filter(({ type }) => type === 'RETRY_SCHEDULED').length;
  const counted = retries + (status === 'FAILED' ? 1 : 0);
  const wrong = failures === counted ? [] : [`it counts ${failures} failures, its events ${counted}`];
  if (failures > maxAttempts || retries >= maxAttempts) wrong.push(`${failures} failures of ${maxAttempts} attempts`);
  return wrong;
}

interface Said {
  readonly events: readonly TaskEventRecord[];
  readonly words: readonly TaskWord[];
  readonly claims: readonly TaskClaim[];
}

/** What was acknowledged is what has happened, and each lease was one claimant's. */
function judgeWords(task: TaskRecord, { events, words, claims }: Said): string[] {
  const wrong: string[] = [];
  for (const [attempt, given] of Map.groupBy(claims, (claim) => claim.attempt)) {
    if (given.length > 1) wrong.push(`attempt ${attempt} was given out ${given.length} times`);
  }
  const acknowledged = words.filter((word) => word.acknowledged);
  const completions = new Set(acknowledged.filter(({ word }) => word === 'COMPLETE').map((word) => word.leaseToken));
  if (completions.size > 1) wrong.push(`completions of ${completions.size} leases were acknowledged`);
  for (const word of acknowledged) {
    const claim = claims.find(({ leaseToken }) => leaseToken === word.leaseToken);
    if (!claim) {
      wrong.push(`${word.word} of a lease was acknowledged that nobody was given`);
      continue;
    }
    wrong.push(...judgeTime(word, { claim, events, words }), ...judgeEffect(word, { claim, events, task }));
  }
  return wrong;
}

/** A word that was said for the first time when its lease was over must not have been acknowledged. */
function judgeTime(
  { word, leaseToken, firstSentAt }: TaskWord,
  { claim, events, words }: { claim: TaskClaim; events: readonly TaskEventRecord[]; words: readonly TaskWord[] },
): string[] {
  const next = events.find(({ type, attemptNo }) => type === 'CLAIMED' && attemptNo > claim.attempt);
  if (next && firstSentAt > next.at.getTime() + CLOCK_MS)
    return [`${word} of attempt ${claim.attempt} was acknowledged after attempt ${next.attemptNo} had begun`];
  const beats = words.filter((other) => other.leaseToken === leaseToken && other.word === 'HEARTBEAT');
  const earlier = beats.filter((beat) => beat.firstSentAt < firstSentAt);
  // Without an answer it may have come through at any time.
  if (earlier.some(({ answeredAt }) => answeredAt === null)) return [];
  const renewedAt = Math.max(claim.at, ...earlier.flatMap((beat) => (beat.acknowledged ? [beat.answeredAt ?? 0] : [])));
  const over = renewedAt + claim.leaseSeconds * 1_000;
  return firstSentAt > over + CLOCK_MS ? [`${word} was acknowledged ${firstSentAt - over} ms after its lease`] : [];
}

/** What each word does, if nobody wants the task cancelled. */
const EFFECTS: Readonly<Record<TaskWord['word'], readonly TaskEventType[]>> = {
  HEARTBEAT: [],
  COMPLETE: ['FINISHED'],
  FAIL: ['RETRY_SCHEDULED', 'FINISHED'],
  RELEASE: ['RELEASED', 'FINISHED'],
};

function judgeEffect(
  { word, leaseToken, result }: TaskWord,
  { claim, events, task }: { claim: TaskClaim; events: readonly TaskEventRecord[]; task: TaskRecord },
): string[] {
  const effects = EFFECTS[word];
  const happened = events.some(({ type, attemptNo }) => attemptNo === claim.attempt && effects.includes(type));
  if (effects.length > 0 && !happened)
    return [`${word} of attempt ${claim.attempt} was acknowledged, and nothing came of it`];
  if (word !== 'COMPLETE') return [];
  if (task.status !== 'COMPLETED' || task.endedLease !== leaseToken)
    return ['its completion was acknowledged by another lease'];
  return isDeepStrictEqual(task.result, result) ? [] : ['its result is not the one that was acknowledged'];
}
