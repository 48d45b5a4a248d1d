/**
 * One-time tokens with which workers of other machines get an API token of their own. Of both only hashes are kept. The
 * API token is derived from the enrolment's token, a number that the client chose, and a key of the server: who has lost the
 * answer asks again with the same number and gets the same one, for a while, and nobody else can.
 */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { type Selectable, sql } from 'kysely';
import { v7 } from 'uuid';
import { z } from 'zod';
import type { Keyring } from '../credentials/keyring.ts';
import { deriveKey } from '../credentials/seal.ts';
import { audit } from '../database/audit.ts';
import type { Database, DatabaseTransaction } from '../database/database.ts';
import { applyKeyset, inListOrder, type Keyset } from '../database/keyset.ts';
import type { WorkerEnrolmentsTable } from '../database/worker-tables.ts';
import { InvalidInputError, inputIssues, NotFoundError } from '../errors.ts';
import { toPublicId } from '../std/public-id.ts';
import { workerLabelsProblem } from '../std/worker-label.ts';
import { insertApiToken, type NewSecret, tokenName } from './api-token.ts';
import { hashToken, isTokenText, makeEnrolmentText, tokenTextOf } from './token-text.ts';

export const MAX_ENROLMENT_MINUTES = 24 * 60;
export const DEFAULT_ENROLMENT_MINUTES = 60;
/** Enrolments that can still be used at the same time. */
const MAX_OPEN_ENROLMENTS = 1_000;
/** How long the client that was first may ask for its token again. */
const ANSWER_AGAIN_MINUTES = 10;
/** Of one enrolment, in the audit log: who guesses on fills no disk. */
const MAX_RECORDED_REFUSALS = 10;
/** The scope of the tokens that workers get. */
const WORKER_SCOPES = ['work'] as const;

const labelList = z.array(z.string().max(200)).superRefine((labels, context) => {
  const problem = workerLabelsProblem(labels);
  if (problem) context.addIssue({ code: 'custom', message: problem });
});

const newEnrolment = z.object({
  name: tokenName,
  labels: labelList.nullable(),
  projectIds: z.array(z.uuid()).min(1, 'must name a project; null means every project').max(1_000).nullable(),
  expiresInMinutes: z.int().min(1).max(MAX_ENROLMENT_MINUTES),
});

/** What a worker says of itself. */
export const enrolmentRequest = z.object({
  token: z.string().max(200),
  // Without it the answer is given once.
  nonce: z
    .string()
    .regex(/^[A-Za-z0-9_-]{22,100}$/, 'must be 22 to 100 characters of base64url that nobody can guess')
    .default(() => randomBytes(32).toString('base64url')),
  name: tokenName,
  version: z.string().min(1).max(100),
  capacity: z.int().min(1).max(1_000),
  labels: labelList.default([]),
});
export type EnrolmentRequest = z.output<typeof enrolmentRequest>;

export interface NewEnrolment {
  /** For people: 1 to 100 characters. */
  readonly name: string;
  /** What the worker is good for, whatever it says itself; null: what it says counts. */
  readonly labels: readonly string[] | null;
  /** UUIDs; null means every project. */
  readonly projectIds: readonly string[] | null;
  readonly expiresInMinutes: number;
}

export type EnrolmentState = 'OPEN' | 'USED' | 'EXPIRED' | 'REVOKED';

export interface Enrolment {
  /** UUID. */
  readonly id: string;
  readonly name: string;
  readonly state: EnrolmentState;
  readonly labels: readonly string[] | null;
  readonly projectIds: readonly string[] | null;
  readonly createdBy: string;
  readonly createdAt: Date;
  readonly expiresAt: Date;
  readonly usedAt: Date | null;
  /** UUID of the API token that the worker got. */
  readonly tokenId: string | null;
  /** How the worker called itself. */
  readonly workerName: string | null;
}

interface EnrolDeps {
  readonly db: Database;
  readonly keyring: Pick<Keyring, 'callbackRoot'>;
}

/** Returns the token, which cannot be had again. Throws InvalidInputError, with TOKEN_LIMIT when there are too many. */
export async function createEnrolment(
  db: Database,
  input: NewEnrolment,
  actor: string,
): Promise<NewSecret & { readonly enrolment: Enrolment }> {
  const checked = newEnrolment.safeParse(input);
  if (!checked.success) throw new InvalidInputError(inputIssues(checked.error, []));
  const { name, labels, projectIds, expiresInMinutes } = checked.data;
  const token = makeEnrolmentText();
  const id = v7();
  const row = await db.transaction().execute(async (trx) => {
    await requireRoom(trx);
    const detail = { name, labels, projectIds: projectIds?.map((project) => toPublicId('project', project)) ?? null };
    await audit(trx, {
      actor,
      action: 'createEnrolmentToken',
      ...subject(id),
      detail: { ...detail, expiresInMinutes },
    });
    return trx
      .insertInto('worker_enrolments')
      .values({
        id,
        name,
        hash: hashToken(token),
        labels,
        project_ids: projectIds,
        created_by: actor,
        expires_at: sql<Date>`now() + make_interval(mins => ${expiresInMinutes})`,
      })
      .returningAll()
      .executeTakeFirstOrThrow();
  });
  return { token, enrolment: toEnrolment({ ...row, expired: false }) };
}

async function requireRoom(trx: DatabaseTransaction): Promise<void> {
  await sql`select pg_advisory_xact_lock(hashtextextended('slipway worker_enrolments', 0))`.execute(trx);
  const { count } = await trx
    .selectFrom('worker_enrolments')
    .select((select) => select.fn.countAll<number>().as('count'))
    .where('used_at', 'is', null)
    .where('revoked_at', 'is', null)
    .where('expires_at', '>', sql<Date>`now()`)
    .executeTakeFirstOrThrow();
  if (Number(count) < MAX_OPEN_ENROLMENTS) return;
  const message = `There are ${MAX_OPEN_ENROLMENTS} enrolments that wait for their worker, which is the most.`;
  throw new InvalidInputError([{ path: [], message }], 'TOKEN_LIMIT');
}

/** At once and for good. The token of a worker that has come already is another one: revokeApiToken. Throws NotFoundError. */
export async function revokeEnrolment(db: Database, id: string, actor: string): Promise<Enrolment> {
  return db.transaction().execute(async (trx) => {
    const revoked = await trx
      .updateTable('worker_enrolments')
      .set({ revoked_at: sql<Date>`now()` })
      .where('id', '=', id)
      .where('revoked_at', 'is', null)
      .returning('id')
      .executeTakeFirst();
    if (revoked) await audit(trx, { actor, action: 'revokeEnrolmentToken', ...subject(id) });
    const row = await enrolments(trx).where('id', '=', id).executeTakeFirst();
    if (!row) throw new NotFoundError('enrolment', toPublicId('enrolment', id));
    return toEnrolment(row);
  });
}

/** One page, in the order of `id`: that in which they were made. `onlyOpen`: those that can still be used. */
export async function listEnrolments(
  db: Database,
  { onlyOpen }: { readonly onlyOpen: boolean },
  keyset: Keyset,
): Promise<Enrolment[]> {
  let query = enrolments(db);
  if (onlyOpen) {
    query = query.where(sql<boolean>`used_at is null and revoked_at is null and expires_at > now()`);
  }
  return inListOrder(await applyKeyset(query, 'id', keyset).execute(), keyset).map(toEnrolment);
}

export type EnrolmentRefusal = 'ENROLMENT_INVALID' | 'ENROLMENT_USED' | 'ENROLMENT_EXPIRED' | 'ENROLMENT_REVOKED';

export type EnrolmentAnswer =
  | ({ readonly ok: true; readonly tokenId: string; readonly labels: readonly string[] | null } & NewSecret)
  | { readonly ok: false; readonly reason: EnrolmentRefusal };

/**
 * Gives an API token for the enrolment's, exactly once. The client that was first gets the same one again, for ten minutes, when
 * it shows the same nonce. Whatever else comes is refused and, the first times, recorded. Throws InvalidInputError (TOKEN_LIMIT).
 */
export async function enrol(deps: EnrolDeps, request: EnrolmentRequest): Promise<EnrolmentAnswer> {
  if (!isTokenText(request.token, 'slipway_enrol_')) return { ok: false, reason: 'ENROLMENT_INVALID' };
  return deps.db.transaction().execute(async (trx): Promise<EnrolmentAnswer> => {
    // Of two clients with the same token the second one waits, and finds that it was used.
    const row = await trx
      .selectFrom('worker_enrolments')
      .selectAll()
      .select(sql<boolean>`expires_at <= now()`.as('expired'))
      .select(sql<boolean>`used_at > now() - make_interval(mins => ${ANSWER_AGAIN_MINUTES})`.as('lately'))
      .where('hash', '=', hashToken(request.token))
      .forUpdate()
      .executeTakeFirst();
    if (!row) return { ok: false, reason: 'ENROLMENT_INVALID' };
    const nonceHash = hashToken(request.nonce);
    const isSame = row.nonce_hash !== null && timingSafeEqual(row.nonce_hash, nonceHash);
    const reason = whyRefused(row, isSame && row.lately);
    if (reason) {
      await recordRefusal(trx, row, { reason, name: request.name });
      return { ok: false, reason };
    }
    const token = derivedToken(deps, request);
    const tokenId = row.token_id ?? (await use(trx, row, { request, token, nonceHash }));
    return { ok: true, token, tokenId, labels: row.labels };
  });
}

type EnrolmentRow = Selectable<WorkerEnrolmentsTable> & { readonly expired: boolean };

function whyRefused(row: EnrolmentRow, mayAskAgain: boolean): EnrolmentRefusal | null {
  if (row.revoked_at) return 'ENROLMENT_REVOKED';
  if (row.used_at) return mayAskAgain ? null : 'ENROLMENT_USED';
  return row.expired ? 'ENROLMENT_EXPIRED' : null;
}

/** 32 bytes that depend on what only the client has, and on what only the server has. */
function derivedToken({ keyring }: EnrolDeps, { token, nonce }: EnrolmentRequest): string {
  const key = deriveKey(keyring.callbackRoot, 'worker enrolment');
  return tokenTextOf('slipway_', createHmac('sha256', key).update(`${token} ${nonce}`).digest());
}

async function use(
  trx: DatabaseTransaction,
  row: EnrolmentRow,
  { request, token, nonceHash }: { request: EnrolmentRequest; token: string; nonceHash: Buffer },
): Promise<string> {
  const { name, version, capacity, labels } = request;
  const worker = { name, version, capacity, labels };
  const created = { name: `worker ${name}`.slice(0, 100), scopes: WORKER_SCOPES, projectIds: row.project_ids };
  const tokenId = await insertApiToken(trx, { ...created, expiresAt: null, createdBy: row.created_by }, token);
  await trx
    .updateTable('worker_enrolments')
    .set({ used_at: sql<Date>`now()`, token_id: tokenId, nonce_hash: nonceHash, worker: JSON.stringify(worker) })
    .where('id', '=', row.id)
    .execute();
  const detail = { ...worker, token: toPublicId('token', tokenId) };
  await audit(trx, { actor: toPublicId('enrolment', row.id), action: 'enrolWorker', ...subject(row.id), detail });
  return tokenId;
}

async function recordRefusal(
  trx: DatabaseTransaction,
  row: EnrolmentRow,
  detail: { readonly reason: EnrolmentRefusal; readonly name: string },
): Promise<void> {
  if (row.refusals >= MAX_RECORDED_REFUSALS) return;
  const counted = { refusals: row.refusals + 1 };
  await trx.updateTable('worker_enrolments').set(counted).where('id', '=', row.id).execute();
  await audit(trx, { actor: toPublicId('enrolment', row.id), action: 'refuseEnrolment', ...subject(row.id), detail });
}

function enrolments(db: Database | DatabaseTransaction) {
  return db.selectFrom('worker_enrolments').selectAll().select(sql<boolean>`expires_at <= now()`.as('expired'));
}

function subject(id: string) {
  return { subjectType: 'enrolment', subjectId: id, projectId: null } as const;
}

function toEnrolment(row: EnrolmentRow): Enrolment {
  const unused = row.revoked_at ? 'REVOKED' : row.expired ? 'EXPIRED' : 'OPEN';
  return {
    id: row.id,
    name: row.name,
    state: row.used_at ? 'USED' : unused,
    labels: row.labels,
    projectIds: row.project_ids,
    createdBy: row.created_by,
    createdAt: row.created_at,
    expiresAt: row.expires_at,
    usedAt: row.used_at,
    tokenId: row.token_id,
    workerName: row.worker?.name ?? null,
  };
}
