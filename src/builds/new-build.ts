/** Builds that come into being, as `accept_builds` of `migrations/0028_accept_builds.sql` writes them: all or some of many. */
import { CompiledQuery } from 'kysely';
import { integerArray, jsonbArray, textArray, timeArray, uuidArray } from '../database/binary-arrays.ts';
import type { Database, DatabaseTransaction } from '../database/database.ts';
import { PREPARED } from '../database/guarded-pool.ts';
import { nextId } from '../std/random-ids.ts';
import type { Build, ClaimedBuild } from './build.ts';
import type { BuildSpec } from './build-spec.ts';
import { newBuildTrace } from './build-trace.ts';
import { type ClaimedRow, type Claimer, startEvents, startTerms } from './claim-builds.ts';
import type { InputHash } from './input-hash.ts';

export interface NewBuild {
  readonly projectId: string;
  /** Of the project that the spec was completed from; null where that does not matter, or no other one can be. */
  readonly projectVersion: number | null;
  readonly spec: BuildSpec;
  readonly source: Build['source'];
  readonly retryOf: string | null;
  readonly idempotencyKey: string | null;
  /** Of what the caller sent; null without a key. */
  readonly inputHash: InputHash | null;
  readonly actor: string;
  /** The mutation's name, for the audit log. */
  readonly action: string;
  /** What started it, if it was the clock. */
  readonly scheduled?: ScheduledRun;
}

export interface ScheduledRun {
  readonly scheduleId: string;
  readonly at: Date;
  /** Earlier builds of the schedule end. */
  readonly cancelRunning: boolean;
}

/** A build that is about to be written. Its id is what makes it the same one when it is written again. */
export interface BuildRow {
  readonly id: string;
  readonly build: NewBuild;
  /** The spec as JSON. */
  readonly document: string;
  readonly traceparent: string;
}

/** What came of one row; see `accept_builds`. */
export type Acceptance =
  | { readonly outcome: 'ACCEPTED'; readonly build: Build }
  /** Null: an earlier row of the same call has it, if that was accepted. */
  | { readonly outcome: 'KEY_TAKEN'; readonly holder: string | null }
  | { readonly outcome: 'NOT_ACTIVE' }
  | { readonly outcome: 'CHANGED' }
  | { readonly outcome: 'BUSY' };

export function toBuildRow(build: NewBuild): BuildRow {
  return { id: nextId(), build, document: JSON.stringify(build.spec), traceparent: newBuildTrace() };
}

interface Written {
  /** The row's place, from 1 on. */
  readonly n: number;
  readonly outcome: Acceptance['outcome'];
  readonly number: number;
  readonly holder: string | null;
  readonly at: Date;
}

interface WrittenOne extends Omit<Written, 'n' | 'outcome'> {
  readonly outcome: Written['outcome'] | 'WAITS';
  readonly started_at: Date | null;
}

/** Either a row that is written or one that is claimed, which has no place. */
interface WrittenOrClaimed extends Omit<Written, 'n' | 'number'>, ClaimedRow {
  readonly n: number | null;
  readonly accepted_number: number;
}

const STATEMENT = `${PREPARED} select * from accept_builds(
  $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)`;
const AND_CLAIM = `${PREPARED} select n, outcome, accepted_number, holder, at, (claimed).* from accept_and_claim_builds(
  $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23)`;

const ONE = `${PREPARED} select * from accept_build(
  $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)`;
const NOBODY = [null, null, null, null, null] as const;

export interface WriteBuildsOptions {
  /** For whoever holds the row of a project; else such builds are BUSY. */
  readonly waits: boolean;
}

/** One outcome for each row, in their order. */
export async function writeBuilds(
  db: Database | DatabaseTransaction,
  rows: readonly BuildRow[],
  options: WriteBuildsOptions,
): Promise<Acceptance[]> {
  const earlier = findEarlier(rows);
  const first = firstOnes(rows, earlier);
  const written = await db.executeQuery<Written>(CompiledQuery.raw(STATEMENT, terms(first, options)));
  return outcomesOf(rows, earlier, written.rows);
}

export interface WrittenBuild {
  readonly acceptance: Acceptance;
  /** It has begun. */
  readonly started: ClaimedBuild | null;
}

/** One alone; with `claimer` it begins with that, or is not written at all: 'WAITS', for the usual claim. */
export async function writeBuild(
  db: Database | DatabaseTransaction,
  row: BuildRow,
  { waits, claimer }: WriteBuildsOptions & { readonly claimer: Claimer | null },
): Promise<WrittenBuild | 'WAITS'> {
  const { id, build, document, traceparent } = row;
  const { projectId, projectVersion, idempotencyKey, inputHash, source, retryOf, scheduled, actor, action } = build;
  const values = [
    ...[projectId, waits, id, projectVersion, idempotencyKey, inputHash?.text ?? null, document, source, retryOf],
    ...[scheduled?.scheduleId ?? null, scheduled?.at ?? null, actor, action, traceparent],
    ...(claimer ? startTerms(claimer) : NOBODY),
  ];
  const { rows } = await db.executeQuery<WrittenOne>(CompiledQuery.raw(ONE, values));
  const [written] = rows;
  if (!written) throw new Error('accept_build has not answered');
  if (written.outcome === 'WAITS') return 'WAITS';
  const acceptance = toAcceptance(row, { ...written, outcome: written.outcome });
  const { started_at: startedAt } = written;
  const isStarted = acceptance.outcome === 'ACCEPTED' && claimer && startedAt;
  return { acceptance, started: isStarted ? asStarted(acceptance.build, claimer, startedAt) : null };
}

/** The same, and a claim with its terms (see `claimTerms`) with the same commit: what that has given, for `tellClaim`. */
export async function writeAndClaim(
  db: Database | DatabaseTransaction,
  rows: readonly BuildRow[],
  { claim, ...options }: WriteBuildsOptions & { readonly claim: readonly unknown[] },
): Promise<{ readonly acceptances: readonly Acceptance[]; readonly given: readonly ClaimedRow[] }> {
  const earlier = findEarlier(rows);
  const values = [...terms(firstOnes(rows, earlier), options), ...claim];
  const result = await db.executeQuery<WrittenOrClaimed>(CompiledQuery.raw(AND_CLAIM, values));
  const written: Written[] = [];
  const given: ClaimedRow[] = [];
  for (const row of result.rows) {
    const { n, outcome, accepted_number: number, holder, at } = row;
    if (n === null) given.push(row);
    else written.push({ n, outcome, number, holder, at });
  }
  return { acceptances: outcomesOf(rows, earlier, written), given };
}

/** One of several with the same key is written. */
function firstOnes(rows: readonly BuildRow[], earlier: ReadonlyMap<BuildRow, BuildRow>): readonly BuildRow[] {
  return earlier.size === 0 ? rows : rows.filter((row) => !earlier.has(row));
}

function outcomesOf(
  rows: readonly BuildRow[],
  earlier: ReadonlyMap<BuildRow, BuildRow>,
  found: readonly Written[],
): Acceptance[] {
  const first = firstOnes(rows, earlier);
  const written = new Map<BuildRow, Acceptance>();
  for (const one of found) {
    const row = first[one.n - 1] as BuildRow;
    written.set(row, toAcceptance(row, one));
  }
  return rows.map((row) => {
    const acceptance = written.get(earlier.get(row) ?? row);
    if (!acceptance) throw new Error('accept_builds has not answered every row');
    if (!earlier.has(row) || acceptance.outcome === 'BUSY') return acceptance;
    return { outcome: 'KEY_TAKEN', holder: null };
  });
}

/** Of rows whose key an earlier one has: that one. */
function findEarlier(rows: readonly BuildRow[]): ReadonlyMap<BuildRow, BuildRow> {
  const earlier = new Map<BuildRow, BuildRow>();
  const firsts = new Map<string, BuildRow>();
  for (const row of rows) {
    const { projectId, idempotencyKey } = row.build;
    if (idempotencyKey === null) continue;
    const name = `${projectId} ${idempotencyKey}`;
    const first = firsts.get(name);
    if (first) earlier.set(row, first);
    else firsts.set(name, row);
  }
  return earlier;
}

function terms(rows: readonly BuildRow[], { waits }: WriteBuildsOptions): unknown[] {
  const builds = rows.map(({ build }) => build);
  const texts = (pick: (build: NewBuild) => string | null) => textArray(builds.map(pick));
  const uuids = (pick: (build: NewBuild) => string | null) => uuidArray(builds.map(pick));
  return [
    uuidArray([...new Set(builds.map(({ projectId }) => projectId))]),
    waits,
    uuidArray(rows.map(({ id }) => id)),
    uuids(({ projectId }) => projectId),
    integerArray(builds.map(({ projectVersion }) => projectVersion)),
    texts(({ idempotencyKey }) => idempotencyKey),
    texts(({ inputHash }) => inputHash?.text ?? null),
    jsonbArray(rows.map(({ document }) => document)),
    texts(({ source }) => source),
    uuids(({ retryOf }) => retryOf),
    uuids(({ scheduled }) => scheduled?.scheduleId ?? null),
    timeArray(builds.map(({ scheduled }) => scheduled?.at ?? null)),
    texts(({ actor }) => actor),
    texts(({ action }) => action),
    textArray(rows.map(({ traceparent }) => traceparent)),
  ];
}

function toAcceptance(row: BuildRow, { outcome, number, holder, at }: Omit<Written, 'n'>): Acceptance {
  if (outcome === 'ACCEPTED') return { outcome, build: asStored(row, number, at) };
  return outcome === 'KEY_TAKEN' ? { outcome, holder } : { outcome };
}

/** The build as `findBuild` reads it, without reading it: all that is not here has its default. */
function asStored({ id, build, traceparent }: BuildRow, number: number, createdAt: Date): Build {
  const { projectId, spec, source, retryOf, idempotencyKey, inputHash, actor, scheduled } = build;
  return {
    id,
    projectId,
    number,
    status: 'PENDING',
    phase: 'QUEUED',
    waitingFor: null,
    resumeAt: null,
    source,
    provider: spec.provider,
    template: spec.template,
    branch: spec.branch,
    priority: spec.priority,
    attemptNo: 0,
    workerId: null,
    lastSeq: 1,
    lastLine: 0,
    cancelRequestedAt: null,
    cancelReason: null,
    baseSha: null,
    pushIntentSha: null,
    failure: null,
    usage: null,
    idempotencyKey,
    inputHash: inputHash?.text ?? null,
    retryOf,
    supersededBy: null,
    scheduleId: scheduled?.scheduleId ?? null,
    scheduledFor: scheduled?.at ?? null,
    requestedBy: actor,
    traceparent,
    createdAt,
    startedAt: null,
    finishedAt: null,
    spec: { ...spec, labels: inStoredOrder(spec.labels), variables: inStoredOrder(spec.variables) },
    result: null,
  };
}

/** As a claim gives it that has come with it. */
function asStarted(build: Build, { workerId, workerName }: Claimer, startedAt: Date): ClaimedBuild {
  const lastSeq = build.lastSeq + startEvents({ workerId, workerName }).length;
  const start = { status: 'RUNNING', phase: 'PREPARING', attemptNo: 1, workerId, lastSeq, startedAt } as const;
  return { ...build, ...start, checkpoint: {}, quotaWaits: 0, talkNo: 0 };
}

/** As jsonb keeps its keys: by length in bytes, then by bytes. */
function inStoredOrder<T>(map: Readonly<Record<string, T>>): Readonly<Record<string, T>> {
  const keys = Object.keys(map);
  if (keys.length < 2) return map;
  const bytes = keys.map((key) => ({ key, bytes: Buffer.from(key) }));
  bytes.sort((a, b) => a.bytes.length - b.bytes.length || a.bytes.compare(b.bytes));
  return Object.fromEntries(bytes.map(({ key }) => [key, map[key] as T]));
}
