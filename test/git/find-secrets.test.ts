import { randomBytes } from 'node:crypto';
import { symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { findSecrets, type SecretRules } from '../../src/git/find-secrets.ts';
import type { GitContext } from '../../src/git/git.ts';
import { checkOut, commitAsPerson, mustCommit, openSandbox, type Sandbox, writeFiles } from './sandbox.ts';

const RULES: SecretRules = { registered: [], enabled: true, allowPaths: [] };
const REGISTERED = 'hunter2-hunter2';

// In two parts, so that no scanner takes this file for a leak.
const GITHUB_TOKEN = `ghp_${'a1B2'.repeat(9)}`;
const PLANTED: readonly (readonly [string, string])[] = [
  ['AWSSecretAccessKey', `aws_secret_access_key = "${'aB3x'.repeat(10)}"`],
  ['AWSAccessKeyID', `const id = '${'AKIA'}QWERTYUIOPASDFGH';`],
  ['GITHUB_TOKEN', `token: ${GITHUB_TOKEN}`],
  [
    'PrivateKey',
    `-----BEGIN RSA ${'PRIVATE KEY'}-----\n${'MIIEpAIBAAKCAQEA7bq0\n'.repeat(10)}-----END RSA PRIVATE KEY-----`,
  ],
  ['SLACK_TOKEN', `xoxb-${'123456789012-1234567890123-abcdefghijklmnopqrstuvwx'}`],
  ['NPM_ACCESS_TOKEN', `npm_${'a1B2'.repeat(9)}`],
  ['ANTHROPIC_API_KEY', `sk-ant-api03-${'a'.repeat(93)}AA`],
  ['BasicAuth', `https://deploy:${'s3cr3tPassw0rd'}@git.acme.io/app.git`],
];

const HARMLESS = [
  'const url = "postgres://postgres:postgres@localhost:5432/app";',
  'curl https://user:s3cr3tPassw0rd@api.example.com/v1',
  '//registry.npmjs.org/:_authToken=$' + '{NPM_TOKEN}',
  `sha512-${'a1B2'.repeat(22)}==`,
  'AKIAIOSFODNN7EXAMPLE',
  '-----BEGIN PUBLIC KEY-----',
];

let sandbox: Sandbox;
let context: GitContext;
let base: string;
let work: string;

beforeEach(async () => {
  sandbox = await openSandbox();
  base = await commitAsPerson(sandbox.remotePath, {
    'a.txt': '1\n',
    'old.txt': `first\n${GITHUB_TOKEN}\n${REGISTERED}\n`,
  });
  context = await sandbox.context();
  await checkOut(sandbox, context);
  work = context.workspace.paths.work;
});
afterEach(() => sandbox[Symbol.asyncDispose]());

async function scan(files: Record<string, string | Buffer | null>, rules: Partial<SecretRules> = {}) {
  await writeFiles(work, files);
  const { sha } = await mustCommit(context, base);
  return findSecrets(context, { from: base, to: sha, rules: { ...RULES, ...rules } });
}

const detected = (text: string) => ({ ok: false, kind: 'SECRET_DETECTED', message: expect.stringContaining(text) });

test('planted secrets are found, and named without being shown', async () => {
  for (const some of [PLANTED.slice(0, 4), PLANTED.slice(4)]) {
    const files = PLANTED.map(([rule, secret]) => {
      const content = some.some(([name]) => name === rule) ? `// line 1\n// line 2\n${secret}\n` : null;
      return [`src/${rule}.js`, content] as const;
    });
    const answer = await scan(Object.fromEntries(files));
    for (const [rule] of some) expect(answer).toMatchObject(detected(`src/${rule}.js:3 (${rule})`));
    for (const word of some.flatMap(([, secret]) => secret.split(/[\s"']+/)).filter((part) => part.length > 17)) {
      expect(JSON.stringify(answer)).not.toContain(word);
    }
  }
});

test('a clean tree passes, with what only looks like a secret', async () => {
  expect(await scan({ 'a.txt': '2\n', 'b.md': HARMLESS.join('\n'), 'logo.png': randomBytes(100_000) })).toEqual({
    ok: true,
  });
});

test('what was there before is not the doing of this commit; the same elsewhere is', async () => {
  expect(
    await scan({ 'old.txt': `changed\n${GITHUB_TOKEN}\nsecond\n${REGISTERED}\n` }, { registered: [REGISTERED] }),
  ).toEqual({
    ok: true,
  });
  const more = `changed\n${GITHUB_TOKEN}\n${GITHUB_TOKEN.replace('a1B2', 'x9Y8')}\n`;
  expect(await scan({ 'old.txt': more })).toMatchObject(detected('old.txt:3 (GITHUB_TOKEN)'));
  expect(await scan({ 'old.txt': null, 'new/old.txt': `first\n${GITHUB_TOKEN}\n${REGISTERED}\n` })).toEqual({
    ok: true,
  });
  expect(await scan({ 'copy.txt': GITHUB_TOKEN })).toMatchObject(detected('copy.txt:1'));
});

test('many that were there before hide none that is new', async () => {
  const tokens = (count: number) =>
    Array.from({ length: count }, (_, index) => GITHUB_TOKEN.replace('a1B2', String(1_000 + index))).join('\n');
  const many = { 'a/known.txt': tokens(30), 'b/known.txt': tokens(1_100) };
  base = await commitAsPerson(sandbox.remotePath, many);
  context = await sandbox.context();
  await checkOut(sandbox, context);
  work = context.workspace.paths.work;
  const touched = { 'a/known.txt': `${tokens(30)}\n` };
  expect(await scan(touched)).toEqual({ ok: true });
  expect(await scan({ ...touched, 'z.txt': GITHUB_TOKEN })).toMatchObject(detected('z.txt:1 (GITHUB_TOKEN)'));
  const end = { 'a/known.txt': `${tokens(30)}\n${GITHUB_TOKEN}\n`, 'z.txt': null };
  expect(await scan(end)).toMatchObject(detected('a/known.txt:31 (GITHUB_TOKEN)'));
  const tooMany = { ...touched, 'b/known.txt': `${tokens(1_100)}\n${GITHUB_TOKEN}\n` };
  expect(await scan(tooMany)).toMatchObject(detected('b/known.txt (TOO_MANY_FINDINGS)'));
});

describe("the build's own secrets", () => {
  const rules = { registered: [REGISTERED], enabled: false, allowPaths: ['**'] };

  test.each([
    ['as text', REGISTERED],
    ['in base64', Buffer.from(`x${REGISTERED}`).toString('base64')],
    ['in a binary file', Buffer.concat([Buffer.from([0, 1, 2, 255]), Buffer.from(REGISTERED)])],
    ['in UTF-16', Buffer.from(`\ufeff${REGISTERED}`, 'utf16le')],
  ])('are found %s, whatever the project allows', async (_how, content) => {
    expect(await scan({ 'x.dat': content }, rules)).toMatchObject(detected('x.dat:1 (REGISTERED_SECRET)'));
  });

  test('are found in a name and in the target of a link', async () => {
    const answer = await scan({ [`${REGISTERED}.txt`]: 'x' }, rules);
    expect(answer).toMatchObject(detected('[redacted].txt (REGISTERED_SECRET)'));
    expect(JSON.stringify(answer)).not.toContain(REGISTERED);
    await writeFiles(work, { [`${REGISTERED}.txt`]: null });
    await symlink(`/tmp/${REGISTERED}`, join(work, 'link'));
    expect(await scan({}, rules)).toMatchObject(detected('link:1 (REGISTERED_SECRET)'));
  });
});

test('the project allows paths or switches the rules off; a comment in the file does neither', async () => {
  const files = { 'test/fixtures/key.txt': GITHUB_TOKEN };
  expect(await scan(files, { allowPaths: ['test/fixtures/**'] })).toEqual({ ok: true });
  expect(await scan(files, { enabled: false })).toEqual({ ok: true });
  expect(await scan(files, { allowPaths: ['other/**'] })).toMatchObject(detected('test/fixtures/key.txt'));
  const hushed = `// secretlint-disable\n${GITHUB_TOKEN}\n`;
  expect(await scan({ ...files, 'test/fixtures/key.txt': hushed })).toMatchObject(detected('key.txt:2'));
});

test('odd names are named, many findings are counted', async () => {
  const many = Object.fromEntries(Array.from({ length: 12 }, (_, index) => [`-rf\n${index}`, GITHUB_TOKEN]));
  const answer = await scan(many);
  expect(answer).toMatchObject(detected('-rf 0:1 (GITHUB_TOKEN), -rf 1:1'));
  expect(answer).toMatchObject(detected('and 7 more.'));
});

test('an abort ends it', async () => {
  await writeFiles(work, { 'a.txt': '2\n' });
  const { sha } = await mustCommit(context, base);
  const stop = new AbortController();
  stop.abort(new Error('cancelled'));
  const cancelled = { ...context, signal: stop.signal };
  expect(await findSecrets(cancelled, { from: base, to: sha, rules: RULES })).toMatchObject({
    ok: false,
    kind: 'ABORTED',
  });
});
