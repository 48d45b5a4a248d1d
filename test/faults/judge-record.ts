/** What the rows of one build say about each other: its events, attempts and log. */
import { sql } from 'kysely';
import type { Database } from '../../src/database/database.ts';
import type { BuildEventType } from '../../src/events/event.ts';
import type { BuildStatus } from '../../src/events/vocabulary.ts';

/** Builds whose rows are in memory at the same time. */
const BATCH = 200;

export interface BuildRecord {
  readonly id: string;
  readonly projectId: string;
  readonly status: BuildStatus;
  readonly idempotencyKey: string | null;
  readonly attemptNo: number;
  readonly lastSeq: number;
  readonly lastLine: number;
  readonly intentSha: string | null;
  readonly pushedSha: string | null;
  readonly runAfter: Date | null;
  /** A schedule has started it. */
  readonly isScheduled: boolean;
  readonly callbackUrl: string | null;
  /** Of the result. */
  readonly publication: string | null;
  readonly commitSha: string | null;
}

interface EventRecord {
  readonly buildId: string;
  readonly seq: number;
  readonly attemptNo: number;
  readonly type: BuildEventType;
  readonly at: Date;
  /** Of FINISHED. */
  readonly status: string | null;
  /** Of RETRY_SCHEDULED. */
  readonly reason: string | null;
  readonly resumeAt: string | null;
  /** Of PHASE_CHANGED. */
  readonly from: string | null;
  readonly to: string | null;
  /** Of what people and the agent say to each other. */
  readonly messageId: string | null;
  readonly questionId: string | null;
  readonly as: string | null;
}

interface AttemptRecord {
  readonly buildId: string;
  readonly attemptNo: number;
  readonly outcome: string | null;
}

interface ChunkRecord {
  readonly buildId: string;
  readonly attemptNo: number;
  readonly firstLine: number;
  readonly lineCount: number;
}

export interface RecordRow {
  readonly build: BuildRecord;
  readonly events: readonly EventRecord[];
  readonly attempts: readonly AttemptRecord[];
  readonly chunks: readonly ChunkRecord[];
}

/** Build by build, each part in its order. */
export async function* readRecords(db: Database, builds: readonly BuildRecord[]): AsyncGenerator<RecordRow, void> {
  for (let start = 0; start < builds.length; start += BATCH) {
    const batch = builds.slice(start, start + BATCH);
    const ids = batch.map(({ id }) => id);
    const [events, attempts, chunks] = await Promise.all([
      readEvents(db, ids),
      db
        .selectFrom('build_attempts')
        .select(['build_id as buildId', 'attempt_no as attemptNo', 'outcome'])
        .where('build_id', 'in', ids)
        .orderBy('attempt_no')
        .execute(),
      db
        .selectFrom('build_logs')
        .select(['build_id as buildId', 'attempt_no as attemptNo'])
        .select(['first_line as firstLine', 'line_count as lineCount'])
        .where('build_id', 'in', ids)
        .orderBy('first_line')
        .execute(),
    ]);
    const byBuild = {
      events: Map.groupBy(events, (row) => row.buildId),
      attempts: Map.groupBy(attempts, (row) => row.buildId),
      chunks: Map.groupBy(chunks, (row) => row.buildId),
    };
    for (const build of batch) {
      const { id } = build;
      yield {
        build,
        events: byBuild.events.get(id) ?? [],
        attempts: byBuild.attempts.get(id) ?? [],
        chunks: byBuild.chunks.get(id) ?? [],
      };
    }
  }
}

function readEvents(db: Database, ids: readonly string[]): Promise<EventRecord[]> {
  return db
    .selectFrom('build_events')
    .select(['build_id as buildId', 'seq', 'attempt_no as attemptNo', 'at'])
    .select([
      sql<BuildEventType>`type`.as('type'),
      sql<string | null>`data ->> 'status'`.as('status'),
      sql<string | null>`data ->> 'reason'`.as('reason'),
      sql<string | null>`data ->> 'resumeAt'`.as('resumeAt'),
      sql<string | null>`data ->> 'from'`.as('from'),
      sql<string | null>`data ->> 'to'`.as('to'),
      sql<string | null>`data ->> 'messageId'`.as('messageId'),
      sql<string | null>`data ->> 'questionId'`.as('questionId'),
      sql<string | null>`data ->> 'as'`.as('as'),
    ])
    .where('build_id', 'in', ids)
    .orderBy('seq')
    .execute();
}

export interface RecordViolation {
  readonly promise: 'events' | 'ended' | 'fence' | 'talk';
  readonly detail: string;
}

export function judgeRecord(row: RecordRow): RecordViolation[] {
  return [...judgeNumbers(row), ...judgeEnd(row), ...judgeAttempts(row), ...judgeFence(row), ...judgeTalk(row)];
}

/** Events are 1..last_seq, log lines 1..last_line. */
function judgeNumbers({ build, events, chunks }: RecordRow): RecordViolation[] {
  const violations: RecordViolation[] = [];
  const wrong = (detail: string) => violations.push({ promise: 'events', detail });
  const broken = events.findIndex((event, index) => event.seq !== index + 1);
  if (broken >= 0) wrong(`event ${events[broken]?.seq} stands where ${broken + 1} must be`);
  if (events.length !== build.lastSeq) wrong(`${events.length} events, and last_seq is ${build.lastSeq}`);
  let line = 1;
  for (const { firstLine, lineCount } of chunks) {
    if (firstLine !== line) wrong(`log line ${firstLine} stands where ${line} must be`);
    line = firstLine + lineCount;
  }
  if (line - 1 !== build.lastLine) wrong(`${line - 1} log lines, and last_line is ${build.lastLine}`);
  return violations;
}

function judgeEnd({ build, events }: RecordRow): RecordViolation[] {
  const ends = events.filter(({ type }) => type === 'FINISHED');
  const isOver = build.status !== 'PENDING' && build.status !== 'RUNNING';
  const wrong = (detail: string): RecordViolation[] => [{ promise: 'ended', detail }];
  if (ends.length !== (isOver ? 1 : 0)) return wrong(`${ends.length} ends, and the build is ${build.status}`);
  if (isOver && events.at(-1) !== ends[0]) return wrong('events follow its end');
  if (isOver && ends[0]?.status !== build.status) return wrong(`it ended ${ends[0]?.status} and is ${build.status}`);
  return [];
}

/** One row per attempt; whoever put the build back has ended his, and only a running build has an open one. */
function judgeAttempts({ build, events, attempts }: RecordRow): RecordViolation[] {
  const violations: RecordViolation[] = [];
  const wrong = (detail: string) => violations.push({ promise: 'fence', detail });
  const numbers = attempts.map(({ attemptNo }) => attemptNo);
  if (numbers.length !== build.attemptNo || numbers.some((number, index) => number !== index + 1)) {
    wrong(`attempts ${numbers}, and the build is at ${build.attemptNo}`);
  }
  const open = attempts.filter(({ outcome }) => outcome === null);
  if (open.length !== (build.status === 'RUNNING' ? 1 : 0)) wrong(`${open.length} open attempts (${build.status})`);
  const putBack = events.filter((event) => event.type === 'RETRY_SCHEDULED' && !isHold(event, events)).length;
  const endedWaiting = events.some((event) => endsWait(event, events));
  const expected = attempts.length - (build.status === 'PENDING' || attempts.length === 0 || endedWaiting ? 0 : 1);
  if (putBack !== expected) wrong(`put back ${putBack} times in ${attempts.length} attempts (${build.status})`);
  return violations;
}

const MOVES: ReadonlySet<BuildEventType> = new Set(['STARTED', 'RETRY_SCHEDULED']);

/** When the build began or was put back last before this event. */
function moveBefore({ seq }: EventRecord, events: readonly EventRecord[]): EventRecord | undefined {
  return events.findLast((event) => event.seq < seq && MOVES.has(event.type));
}

/** A build that waits already is told to wait for its key: nobody has had it in hands. */
function isHold(event: EventRecord, events: readonly EventRecord[]): boolean {
  if (event.type !== 'RETRY_SCHEDULED' || event.reason !== 'QUOTA') return false;
  return moveBefore(event, events)?.type !== 'STARTED';
}

/** A build that waits for its provider is cancelled at once: it has no process that could live. */
function endsWait(event: EventRecord, events: readonly EventRecord[]): boolean {
  if (event.type !== 'FINISHED' || event.status !== 'CANCELLED') return false;
  return moveBefore(event, events)?.reason === 'QUOTA';
}

const WHILE_WAITING: ReadonlySet<BuildEventType> = new Set([
  'STARTED',
  'CANCEL_REQUESTED',
  'MESSAGE_SENT',
  'QUESTION_CLOSED',
]);

/** Of a waiting build nobody writes but who begins with it, wants its end, or holds it for its provider. */
function mayComeMeanwhile(event: EventRecord, events: readonly EventRecord[]): boolean {
  return WHILE_WAITING.has(event.type) || isHold(event, events) || endsWait(event, events);
}

/** Once in an attempt; the agent once more for every turn that begins with messages. */
const ONCE: ReadonlySet<BuildEventType> = new Set(['STARTED', 'AGENT_STARTED', 'GIT_COMMITTED', 'GIT_PUSHED']);

/**
 * Numbers of attempts never fall, each begins with STARTED and ends with RETRY_SCHEDULED or FINISHED, and its phases
 * follow from each other. A second writer breaks one of these, even one that takes the number of the current attempt.
 */
function judgeFence({ events, chunks }: RecordRow): RecordViolation[] {
  const violations: RecordViolation[] = [];
  const wrong = (detail: string) => violations.push({ promise: 'fence', detail });
  let attempt = 0;
  let waiting = true;
  let phase = 'QUEUED';
  let seen = new Set<BuildEventType>();
  for (const event of events) {
    const name = `event ${event.seq} (${event.type}, attempt ${event.attemptNo})`;
    if (event.type === 'STARTED') {
      if (!waiting || event.attemptNo !== attempt + 1) wrong(`${name} begins while attempt ${attempt} goes on`);
      attempt = event.attemptNo;
      waiting = false;
      phase = 'QUEUED';
      seen = new Set();
    } else if (event.attemptNo !== attempt) {
      wrong(`${name} comes in attempt ${attempt}`);
    } else if (waiting && attempt > 0 && !mayComeMeanwhile(event, events)) {
      wrong(`${name} comes while nobody runs the build`);
    }
    if (event.type === 'PHASE_CHANGED') {
      if (event.from !== phase) wrong(`${name} leaves ${event.from} in phase ${phase}`);
      phase = event.to ?? phase;
    }
    if (ONCE.has(event.type) && seen.has(event.type)) wrong(`${name} comes twice`);
    seen.add(event.type);
    if (event.type === 'MESSAGE_DELIVERED' && event.as !== 'STEER') seen.delete('AGENT_STARTED');
    if (event.type === 'RETRY_SCHEDULED') waiting = true;
  }
  let last = 0;
  for (const chunk of chunks) {
    if (chunk.attemptNo < last) wrong(`log line ${chunk.firstLine} of attempt ${chunk.attemptNo} follows ${last}`);
    last = chunk.attemptNo;
  }
  return violations;
}

/** What people told a build that completed was delivered, once; a question is closed once, and is open only in a build that goes on. */
function judgeTalk({ build, events }: RecordRow): RecordViolation[] {
  const violations: RecordViolation[] = [];
  const wrong = (detail: string) => violations.push({ promise: 'talk', detail });
  const ids = (type: BuildEventType, id: 'messageId' | 'questionId') =>
    events.flatMap((event) => (event.type === type ? [event[id]] : []));
  const delivered = ids('MESSAGE_DELIVERED', 'messageId');
  const closed = ids('QUESTION_CLOSED', 'questionId');
  for (const list of [delivered, closed]) {
    if (new Set(list).size !== list.length) wrong('a message was delivered twice, or a question closed twice');
  }
  const unheard = ids('MESSAGE_SENT', 'messageId').filter((id) => !delivered.includes(id));
  if (build.status === 'COMPLETED' && unheard.length > 0) wrong(`it completed without ${unheard.length} messages`);
  const open = ids('QUESTION_ASKED', 'questionId').filter((id) => !closed.includes(id));
  const isOver = build.status !== 'PENDING' && build.status !== 'RUNNING';
  if (isOver && open.length > 0) wrong(`it is over, and ${open.length} questions are open`);
  return violations;
}
