/** What is stored of an input: the same request is known again, and nobody can try out what was in it. */
import { createHash } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createAndBuild } from '../../src/builds/create-and-build.ts';
import { hashInput } from '../../src/builds/input-hash.ts';
import { startBuild } from '../../src/builds/start-build.ts';
import { IdempotencyConflictError } from '../../src/errors.ts';
import { canonicalJson } from '../../src/std/canonical-json.ts';
import { openTestStack, type TestStack } from '../support/orchestrator.ts';

let stack: TestStack;
let other: TestStack;

beforeAll(async () => {
  [stack, other] = await Promise.all([openTestStack(), openTestStack()]);
});
afterAll(() => Promise.all([stack[Symbol.asyncDispose](), other[Symbol.asyncDispose]()]));

const sha256 = (input: unknown) => createHash('sha256').update(canonicalJson(input)).digest('hex');

test('an input is the same in any order of its members, and only to whoever has the keys', () => {
  const hash = hashInput(stack.orchestrator, { a: 1, b: { c: 2 }, d: null });
  expect(hash.text).toBe(hashInput(stack.orchestrator, { b: { c: 2 }, a: 1 }).text);
  expect(hash.text).not.toBe(hashInput(other.orchestrator, { a: 1, b: { c: 2 } }).text);
  expect(hash.text).not.toContain(sha256({ a: 1, b: { c: 2 } }));
  expect(hash.matches(hash.text)).toBe(true);
  expect(hash.matches(sha256({ a: 1, b: { c: 2 } }))).toBe(true);
  for (const stored of [null, '', sha256({ a: 1 }), hashInput(stack.orchestrator, { a: 1 }).text]) {
    expect(hash.matches(stored)).toBe(false);
  }
});

test('a build is known again, also by a plain hash of an earlier version', async () => {
  const { orchestrator } = stack;
  const { id: projectId } = await stack.createProject();
  const spec = { prompt: 'work' };
  const start = (prompt: string) =>
    startBuild(orchestrator, { projectId, spec: { prompt }, idempotencyKey: 'key' }, 'test');
  const { build } = await start('work');
  expect(build.inputHash).toMatch(/^hmac-sha256:[0-9a-f]{64}$/);
  for (const input_hash of [build.inputHash, sha256(spec)]) {
    await orchestrator.db.updateTable('build_audit').set({ input_hash }).where('id', '=', build.id).execute();
    expect(await start('work')).toMatchObject({ build: { id: build.id }, deduplicated: true });
    await expect(start('other work')).rejects.toThrow(IdempotencyConflictError);
  }
});

test('a project with a password is known again, and its row tells nothing of the password', async () => {
  const { orchestrator } = stack;
  const project = {
    name: 'Secret',
    repositoryUrl: 'https://example.com/a.git',
    gitCredentials: { username: 'bot', password: 'correct horse battery' },
  };
  const input = { project, spec: { prompt: 'work' }, idempotencyKey: 'key' };
  const created = await createAndBuild(orchestrator, input, 'bot');
  const plain = sha256({ project, spec: input.spec });
  const row = orchestrator.db.selectFrom('projects').selectAll().where('id', '=', created.project.id);
  expect(JSON.stringify(await row.executeTakeFirst())).not.toContain(plain);
  expect(created.build.inputHash).not.toContain(plain);
  expect(await createAndBuild(orchestrator, input, 'bot')).toMatchObject({ deduplicated: true });
  await orchestrator.db
    .updateTable('projects')
    .set({ creation_hash: plain })
    .where('id', '=', created.project.id)
    .execute();
  expect(await createAndBuild(orchestrator, input, 'bot')).toMatchObject({ deduplicated: true });
  const changed = { ...input, project: { ...project, gitCredentials: { username: 'bot', password: 'another one' } } };
  await expect(createAndBuild(orchestrator, changed, 'bot')).rejects.toThrow(IdempotencyConflictError);
});
