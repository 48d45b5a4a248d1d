/** A one-time token for a worker: once, by one, in time, and nothing of it is kept that could be used. */
import { randomBytes } from 'node:crypto';
import { sql } from 'kysely';
import { v7 } from 'uuid';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { authenticate } from '../../src/auth/authenticate.ts';
import { createEnrolment, listEnrolments, type NewEnrolment, revokeEnrolment } from '../../src/auth/enrolment.ts';
import { InvalidInputError } from '../../src/errors.ts';
import { fromPublicId } from '../../src/std/public-id.ts';
import { findWorkers, insertWorker } from '../../src/workers/registry.ts';
import { openTestApi, type TestApi } from '../support/api.ts';
import { openTestStack, type TestStack } from '../support/orchestrator.ts';

let stack: TestStack;
let api: TestApi;

beforeAll(async () => {
  stack = await openTestStack({ SLIPWAY_REFUSED_PER_MINUTE: '40' });
  api = await openTestApi(stack);
});
afterAll(async () => {
  await api[Symbol.asyncDispose]();
  await stack[Symbol.asyncDispose]();
});

const make = (input: Partial<NewEnrolment> = {}) =>
  createEnrolment(
    stack.orchestrator.db,
    { name: 'box', labels: null, projectIds: null, expiresInMinutes: 5, ...input },
    'ann',
  );
const newNonce = () => randomBytes(32).toString('base64url');
const SAID = { name: 'gpu-1', version: '0.1.0', capacity: 2, labels: ['gpu'] };

async function enrol(body: object | string) {
  const response = await fetch(api.url.replace('/graphql', '/workers/enrol'), {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });
  return { status: response.status, type: response.headers.get('content-type'), body: await response.json() };
}

async function actionsOn(id: string): Promise<string[]> {
  const query = stack.orchestrator.db.selectFrom('audit_log').select('action').where('subject_id', '=', id);
  return (await query.orderBy('id').execute()).map(({ action }) => action);
}

test('a token is given for it once, with the scope work and its projects; the database has neither', async () => {
  const { db } = stack.orchestrator;
  const { id: projectId } = await stack.createProject();
  const { token, enrolment } = await make({ projectIds: [projectId] });
  expect(token).toMatch(/^slipway_enrol_[0-9A-Za-z]{49}$/);
  expect(await authenticate(db, `Bearer ${token}`)).toBeNull();
  const nonce = newNonce();
  const first = await enrol({ token, nonce, ...SAID });
  expect(first).toMatchObject({ status: 201, body: { labels: null } });
  const viewer = await authenticate(db, `Bearer ${first.body.token}`);
  expect(viewer).toMatchObject({ scopes: ['work'], projectIds: [projectId], name: 'worker gpu-1', expiresAt: null });
  expect(viewer?.tokenId).toBe(fromPublicId('token', first.body.tokenId));

  // The answer was lost: the same client gets the same one, and nobody else gets any.
  expect((await enrol({ token, nonce, ...SAID })).body).toEqual(first.body);
  for (const other of [
    { token, nonce: newNonce(), ...SAID },
    { token, ...SAID },
  ]) {
    const refused = await enrol(other);
    expect(refused).toMatchObject({ status: 409, body: { code: 'ENROLMENT_USED' }, type: 'application/problem+json' });
  }
  await sql`update worker_enrolments set used_at = used_at - interval '10 minutes' where id = ${enrolment.id}`.execute(
    db,
  );
  expect(await enrol({ token, nonce, ...SAID })).toMatchObject({ status: 409 });
  expect(await actionsOn(enrolment.id)).toEqual([
    ...['createEnrolmentToken', 'enrolWorker', 'refuseEnrolment', 'refuseEnrolment', 'refuseEnrolment'],
  ]);
  const page = { direction: 'desc', after: null, before: null, limit: 10, fromEnd: false } as const;
  const [listed] = await listEnrolments(db, { onlyOpen: false }, page);
  expect(listed).toMatchObject({ state: 'USED', workerName: 'gpu-1', tokenId: viewer?.tokenId, createdBy: 'ann' });
  expect(await listEnrolments(db, { onlyOpen: true }, page)).toEqual([]);
  const { rows } = await sql<{ all: string }>`
    select (select string_agg(e::text, '') from worker_enrolments e) || (select string_agg(t::text, '') from api_tokens t)
        || (select string_agg(a::text, '') from audit_log a) as all`.execute(db);
  for (const secret of [token, nonce, first.body.token as string]) expect(rows[0]?.all).not.toContain(secret);
});

test('of many that come with it at the same moment one is let in', async () => {
  const { token } = await make();
  const answers = await Promise.all(Array.from({ length: 8 }, () => enrol({ token, nonce: newNonce(), ...SAID })));
  expect(answers.map(({ status }) => status).toSorted()).toEqual([201, 409, 409, 409, 409, 409, 409, 409]);
});

test('what has expired, was revoked, is unknown or is not well said is refused by name', async () => {
  const { db } = stack.orchestrator;
  const { token, enrolment } = await make();
  await sql`update worker_enrolments set expires_at = now() where id = ${enrolment.id}`.execute(db);
  expect(await enrol({ token, ...SAID })).toMatchObject({ status: 410, body: { code: 'ENROLMENT_EXPIRED' } });
  const other = await make();
  expect(await revokeEnrolment(db, other.enrolment.id, 'ann')).toMatchObject({ state: 'REVOKED' });
  await revokeEnrolment(db, other.enrolment.id, 'ann');
  expect(await enrol({ token: other.token, ...SAID })).toMatchObject({
    status: 410,
    body: { code: 'ENROLMENT_REVOKED' },
  });
  expect(await actionsOn(other.enrolment.id)).toEqual([
    'createEnrolmentToken',
    'revokeEnrolmentToken',
    'refuseEnrolment',
  ]);
  const unknown = { status: 401, body: { code: 'ENROLMENT_INVALID' } };
  for (const wrong of [`${token.slice(0, -1)}x`, 'slipway_enrol_', api.token]) {
    expect(await enrol({ token: wrong, ...SAID })).toMatchObject(unknown);
  }
  for (const wrong of ['{', '[]', '{"token":1}', JSON.stringify({ token, ...SAID, labels: ['provider:codex'] })]) {
    expect(await enrol(wrong)).toMatchObject({ status: 400, body: { code: 'INVALID_INPUT' } });
  }
  expect(await enrol(`"${'x'.repeat(20_000)}"`)).toMatchObject({ status: 413 });
  for (const wrong of [{ expiresInMinutes: 1_441 }, { name: '' }, { labels: ['a b'] }, { projectIds: [] }]) {
    await expect(make(wrong)).rejects.toThrow(InvalidInputError);
  }
});

test('the labels of the enrolment go before what the worker says itself', async () => {
  const { db } = stack.orchestrator;
  const labelsOf = async (labels: readonly string[] | null) => {
    const { token } = await make({ labels });
    const { body } = await enrol({ token, ...SAID });
    const tokenId = fromPublicId('token', body.tokenId);
    const id = v7();
    const base = { name: 'w', place: 'far', version: '1', capacity: 1, agents: [] };
    await insertWorker(db, { ...base, id, labels: ['mine'], runtime: 'local' }, { process: 'far', tokenId });
    return (await findWorkers(db, { ids: [id] }))[0];
  };
  expect(await labelsOf(['rig'])).toMatchObject({ labels: ['rig', 'runtime:local'] });
  expect((await labelsOf(null))?.labels).toEqual(['mine', 'runtime:local']);
});

test('who guesses waits', async () => {
  let last = await enrol({ token: 'guess', ...SAID });
  for (let guess = 0; guess < 40 && last.status !== 429; guess += 1) last = await enrol({ token: 'guess', ...SAID });
  expect(last).toMatchObject({ status: 429, type: 'application/problem+json' });
});
