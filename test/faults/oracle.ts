/**
 * The judge of every fault run: holds what clients, subscribers and receivers were told against the rows, the remotes
 * and the processes of this machine. It only reads. Agents of a run that is judged say something every few seconds, or
 * their silence is taken for a build that is stuck.
 */
import { sql } from 'kysely';
import { messageId } from '../../src/callbacks/delivery.ts';
import type { Database } from '../../src/database/database.ts';
import type { BuildStatus } from '../../src/events/vocabulary.ts';
import { fromPublicId } from '../../src/std/public-id.ts';
import { findLeaks } from './find-leaks.ts';
import type { DeliveryRecord, History } from './history.ts';
import { type BuildRecord, judgeRecord, type RecordRow, readRecords } from './judge-record.ts';
import { findMarkedProcesses } from './marked-processes.ts';
import { readRemoteCommits } from './remote-commits.ts';

/** What is promised, one line of the verdict each. */
export const PROMISES = {
  lost: 'accepted builds exist, one per idempotency key',
  stuck: 'every build ends, and none waits without reason',
  ended: 'one end per build, and it is the last event',
  commits: 'at most one commit per build on its remote, intended, and there when the build says so',
  talk: 'what people tell a build that completes was delivered once, and no question outlives its build',
  fence: 'nothing is written by a superseded attempt',
  events: 'events are 1..N for every reader',
  callbacks: 'every finished build is reported, under one id, signed',
  processes: 'no process outlives its build',
  cancelled: 'an acknowledged cancel lets no commit through',
  secrets: 'planted secrets are in no stored byte',
  alive: 'servers and workers stay up, and the API fails only for a reason it can name',
} as const;

export type PromiseName = keyof typeof PROMISES;

export interface Violation {
  readonly promise: PromiseName;
  /** UUID. */
  readonly buildId?: string;
  readonly detail: string;
}

export interface Evidence {
  readonly db: Database;
  readonly history: History;
  /** Project (UUID) -> path of its bare repository. Builds of other projects are not looked for on a remote. */
  readonly remotes: ReadonlyMap<string, string>;
  /** Planted where a build could meet them. */
  readonly secrets: readonly string[];
  /** Searched for them: data folders, logs of processes. */
  readonly folders: readonly string[];
  readonly faultEndedAt: Date;
  /** A build may wait this long after the faults; 25 s when absent. */
  readonly patienceMs?: number;
}

export interface Verdict {
  /** Empty: every promise was kept. */
  readonly violations: readonly Violation[];
  readonly counts: {
    readonly builds: number;
    readonly byStatus: Readonly<Partial<Record<BuildStatus, number>>>;
    readonly attempts: number;
    readonly events: number;
    readonly commits: number;
    readonly deliveries: number;
    readonly subscriptions: number;
    /** The longest that any build waited without reason after the faults. */
    readonly maxStuckMs: number;
  };
}

/** Lease 15 s, the look for lost builds 3 s, a claim 2 s, and some slack. */
const PATIENCE_MS = 25_000;

interface Case extends Evidence {
  readonly builds: ReadonlyMap<string, BuildRecord>;
}

export async function judge(evidence: Evidence): Promise<Verdict> {
  const builds = new Map((await readBuilds(evidence.db)).map((build) => [build.id, build]));
  const all: Case = { ...evidence, builds };
  const records = await judgeRecords(all);
  const remotes = await judgeRemotes(all);
  const violations = [
    ...judgeAcceptance(all),
    ...records.violations,
    ...remotes.violations,
    ...judgeSubscriptions(all),
    ...(await judgeCallbacks(all)),
    ...(await judgeProcesses(all)),
    ...(await judgeSecrets(all)),
  ];
  const byStatus: Partial<Record<BuildStatus, number>> = {};
  for (const { status } of builds.values()) byStatus[status] = (byStatus[status] ?? 0) + 1;
  const { deliveries, subscriptions } = evidence.history;
  return {
    violations,
    counts: {
      ...{ builds: builds.size, byStatus, attempts: records.attempts, events: records.events },
      ...{ commits: remotes.commits, deliveries: deliveries.length, subscriptions: subscriptions.length },
      maxStuckMs: records.maxStuckMs,
    },
  };
}

function readBuilds(db: Database): Promise<BuildRecord[]> {
  return db
    .selectFrom('build_audit')
    .select(['id', 'status', 'project_id as projectId', 'idempotency_key as idempotencyKey', 'attempt_no as attemptNo'])
    .select(['last_seq as lastSeq', 'last_line as lastLine', 'push_intent_sha as intentSha', 'pushed_sha as pushedSha'])
    .select('run_after as runAfter')
    .select([
      sql<string | null>`spec ->> 'callbackUrl'`.as('callbackUrl'),
      sql<string | null>`result ->> 'publication'`.as('publication'),
      sql<string | null>`result ->> 'commitSha'`.as('commitSha'),
    ])
    .execute();
}

function isOver({ status }: Pick<BuildRecord, 'status'>): boolean {
  return status !== 'PENDING' && status !== 'RUNNING';
}

/** Nothing that a client was told is missing, and nothing is there that nobody asked for. */
function judgeAcceptance({ history, builds }: Case): Violation[] {
  const violations: Violation[] = [];
  const lost = (detail: string, buildId?: string) =>
    violations.push({ promise: 'lost', detail, ...(buildId ? { buildId } : {}) });
  const byKey = new Map<string, string[]>();
  for (const build of builds.values()) {
    if (build.idempotencyKey === null) continue;
    const key = `${build.projectId} ${build.idempotencyKey}`;
    byKey.set(key, [...(byKey.get(key) ?? []), build.id]);
  }
  const asked = new Set<string>();
  for (const { projectId, idempotencyKey, buildId } of history.accepted) {
    const key = `${projectId} ${idempotencyKey}`;
    asked.add(key);
    const found = byKey.get(key) ?? [];
    if (!builds.has(buildId)) lost(`accepted for key ${idempotencyKey}, and not there`, buildId);
    else if (!found.includes(buildId)) lost(`not the build of its key ${idempotencyKey}`, buildId);
  }
  for (const { projectId, idempotencyKey } of history.unanswered) asked.add(`${projectId} ${idempotencyKey}`);
  for (const [key, found] of byKey) {
    if (found.length > 1) lost(`${found.length} builds for the key ${key}`, found[1]);
    if (!asked.has(key)) lost(`nobody asked for the key ${key}`, found[0]);
  }
  return violations;
}

/** Each build's own rows; see judge-record.ts. */
async function judgeRecords(all: Case) {
  const violations: Violation[] = [];
  let [attempts, events, maxStuckMs] = [0, 0, 0];
  const { now, moves } = await readMoves(all);
  for await (const row of readRecords(all.db, [...all.builds.values()])) {
    const { build } = row;
    for (const violation of judgeRecord(row)) violations.push({ ...violation, buildId: build.id });
    attempts += row.attempts.length;
    events += row.events.length;
    const stuckMs = longestWait(row, { from: all.faultEndedAt.getTime(), now, moves });
    maxStuckMs = Math.max(maxStuckMs, stuckMs);
    const patienceMs = all.patienceMs ?? PATIENCE_MS;
    if (stuckMs > patienceMs) {
      const detail = `nothing happened to it for ${Math.round(stuckMs / 1000)} s after the faults (${build.status})`;
      violations.push({ promise: 'stuck', buildId: build.id, detail });
    } else if (!isOver(build)) {
      violations.push({ promise: 'stuck', buildId: build.id, detail: `it is still ${build.status}` });
    }
  }
  return { violations, attempts, events, maxStuckMs };
}

/** When any build was claimed or ended after the faults, in milliseconds: while that goes on, waiting has a reason. */
async function readMoves({ db, faultEndedAt }: Case): Promise<{ now: number; moves: readonly number[] }> {
  const { rows: clock } = await sql<{ now: Date }>`select clock_timestamp() as now`.execute(db);
  const rows = await db
    .selectFrom('build_events')
    .select('at')
    .where('type', 'in', ['STARTED', 'FINISHED'])
    .where('at', '>=', faultEndedAt)
    .orderBy('at')
    .execute();
  return { now: clock[0]?.now.getTime() ?? Date.now(), moves: rows.map(({ at }) => at.getTime()) };
}

/** The longest stretch in milliseconds in which a running build was silent, or a waiting one while nothing else moved. */
function longestWait(
  { build, events }: RecordRow,
  { from, now, moves }: { from: number; now: number; moves: readonly number[] },
): number {
  let longest = 0;
  let waiting = true;
  const runAfter = build.runAfter?.getTime() ?? 0;
  for (const [index, event] of events.entries()) {
    if (event.type === 'STARTED') waiting = false;
    if (event.type === 'RETRY_SCHEDULED') waiting = true;
    if (event.type === 'FINISHED') break;
    const resumeAt = event.resumeAt === null ? 0 : Date.parse(event.resumeAt);
    const start = Math.max(event.at.getTime(), from, waiting ? Math.max(runAfter, resumeAt) : 0);
    const end = events[index + 1]?.at.getTime() ?? now;
    if (end <= start) continue;
    const marks = waiting ? moves.filter((at) => at > start && at < end) : [];
    const points = [start, ...marks, end];
    for (let i = 1; i < points.length; i += 1) longest = Math.max(longest, (points[i] ?? 0) - (points[i - 1] ?? 0));
  }
  return longest;
}

async function judgeRemotes({ remotes, builds, history }: Case): Promise<{ violations: Violation[]; commits: number }> {
  const violations: Violation[] = [];
  const seen = new Map<string, Set<string>>();
  for (const [projectId, path] of remotes) {
    for (const { sha, build: publicId } of await readRemoteCommits(path)) {
      const build = builds.get(fromPublicId('build', publicId) ?? '');
      if (!build || build.projectId !== projectId) {
        violations.push({ promise: 'commits', detail: `${path} has ${sha} of ${publicId}, which is no build of it` });
        continue;
      }
      const shas = seen.get(build.id) ?? new Set();
      seen.set(build.id, shas.add(sha));
      const buildId = build.id;
      if (shas.size === 2) violations.push({ promise: 'commits', buildId, detail: `commits ${[...shas]} on ${path}` });
      if (sha !== build.intentSha) {
        violations.push({ promise: 'commits', buildId, detail: `${sha} was pushed, ${build.intentSha} intended` });
      }
    }
  }
  for (const build of builds.values()) {
    if (!remotes.has(build.projectId) || build.publication !== 'PUSHED') continue;
    const sha = build.pushedSha ?? '';
    if (sha !== build.commitSha || !seen.get(build.id)?.has(sha)) {
      violations.push({
        promise: 'commits',
        buildId: build.id,
        detail: `it says PUSHED ${build.commitSha}: not there`,
      });
    }
  }
  for (const { buildId } of history.cancelled) {
    const build = builds.get(buildId);
    if (seen.has(buildId) || build?.intentSha) {
      violations.push({ promise: 'cancelled', buildId, detail: 'its cancel was acknowledged, and it was published' });
    }
  }
  return { violations, commits: [...seen.values()].reduce((sum, shas) => sum + shas.size, 0) };
}

function judgeSubscriptions({ history, builds }: Case): Violation[] {
  return history.subscriptions.flatMap(({ buildId, after, cursors, ended }): Violation[] => {
    const last = builds.get(buildId)?.lastSeq ?? 0;
    const broken = cursors.findIndex((cursor, index) => cursor !== after + index + 1);
    const violation = (detail: string): Violation[] => [{ promise: 'events', buildId, detail }];
    if (broken >= 0)
      return violation(`a subscriber behind ${after} was given ${cursors[broken]} as number ${broken + 1}`);
    if (after + cursors.length > last) return violation(`a subscriber saw ${after + cursors.length} of ${last} events`);
    if (ended && after + cursors.length < last) return violation(`a subscription ended before event ${last}`);
    return [];
  });
}

async function judgeCallbacks({ db, history, builds }: Case): Promise<Violation[]> {
  const rows = await db.selectFrom('deliveries').select(['id', 'build_id', 'kind', 'status']).execute();
  const received = Map.groupBy(history.deliveries, ({ buildId }: DeliveryRecord) => buildId);
  const outbox = Map.groupBy(rows, (row) => row.build_id);
  const violations: Violation[] = [];
  for (const build of builds.values()) {
    const wrong = (detail: string) => violations.push({ promise: 'callbacks', buildId: build.id, detail });
    const own = outbox.get(build.id) ?? [];
    const calls = received.get(build.id) ?? [];
    const wanted = isOver(build) && build.callbackUrl !== null ? 1 : 0;
    if (own.length !== wanted) wrong(`${own.length} deliveries, where ${wanted} must be`);
    if (calls.some(({ verified }) => !verified)) wrong('a callback without a right signature');
    const ids = new Set(own.map(({ id }) => messageId(id)));
    const strange = calls.find(({ webhookId }) => !ids.has(webhookId));
    if (strange) wrong(`the webhook-id ${strange.webhookId}, where only ${[...ids]} may be`);
    for (const { id, status } of own) {
      const accepted = calls.some((call) => call.accepted && call.webhookId === messageId(id));
      if (status !== 'DELIVERED') wrong(`its delivery is ${status}`);
      else if (!accepted) wrong('its delivery is DELIVERED, and no receiver has accepted it');
    }
  }
  for (const buildId of received.keys()) {
    if (!builds.has(buildId)) violations.push({ promise: 'callbacks', buildId, detail: 'a callback of no build' });
  }
  return violations;
}

async function judgeProcesses({ builds }: Case): Promise<Violation[]> {
  return (await findMarkedProcesses()).flatMap(({ pid, buildId }): Violation[] => {
    const build = builds.get(buildId);
    if (!build || !isOver(build)) return [];
    return [{ promise: 'processes', buildId, detail: `process ${pid} is alive, and the build is ${build.status}` }];
  });
}

async function judgeSecrets({ db, folders, remotes, secrets }: Case): Promise<Violation[]> {
  const places = await findLeaks({ db, folders, repositories: [...remotes.values()] }, secrets);
  return places.map((place): Violation => ({ promise: 'secrets', detail: `a planted secret is in ${place}` }));
}
