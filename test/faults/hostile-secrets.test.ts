/** What an agent could do to get around the search for secrets, or to stop the worker with it. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { findSecrets, type SecretRules } from '../../src/git/find-secrets.ts';
import type { GitContext } from '../../src/git/git.ts';
import { checkOut, commitAsPerson, mustCommit, openSandbox, type Sandbox, writeFiles } from '../git/sandbox.ts';
import { waitFor } from '../support/wait-for.ts';

const RULES: SecretRules = { registered: [], enabled: true, allowPaths: [] };
const REGISTERED = 'hunter2-hunter2';
// In two parts, so that no scanner takes this file for a leak.
const GITHUB_TOKEN = `ghp_${'a1B2'.repeat(9)}`;

let sandbox: Sandbox;
let context: GitContext;
let base: string;
let work: string;

beforeEach(async () => {
  sandbox = await openSandbox();
  base = await commitAsPerson(sandbox.remotePath, { 'a.txt': '1\n' });
  context = await sandbox.context();
  await checkOut(sandbox, context);
  work = context.workspace.paths.work;
});
afterEach(() => sandbox[Symbol.asyncDispose]());

async function scan(rules: Partial<SecretRules> = {}) {
  const { sha } = await mustCommit(context, base);
  return findSecrets(context, { from: base, to: sha, rules: { ...RULES, ...rules } });
}

const detected = (text: string) => ({ ok: false, kind: 'SECRET_DETECTED', message: expect.stringContaining(text) });

test('a file that is made to be slow is refused in time, and the event loop goes on', async () => {
  let longest = 0;
  let last = performance.now();
  const beat = setInterval(() => {
    longest = Math.max(longest, performance.now() - last);
    last = performance.now();
  }, 10);
  const started = performance.now();
  await writeFiles(work, { 'slow.txt': 'ghs_1_a.a.'.repeat(400_000), 'z.txt': GITHUB_TOKEN });
  const answer = await scan({ fileTimeoutMs: 2_000 });
  clearInterval(beat);
  expect(answer).toMatchObject(detected('slow.txt (NOT_SEARCHED_IN_TIME)'));
  expect(answer).toMatchObject(detected('z.txt:1 (GITHUB_TOKEN)'));
  process.stdout.write(
    `a hostile file: ${Math.round(performance.now() - started)} ms, longest wait of the event loop ${Math.round(longest)} ms\n`,
  );
});

test('a file that was as slow before hides nothing, and no rule that is switched off lets it through', async () => {
  const slow = 'ghs_1_a.a.'.repeat(400_000);
  base = await commitAsPerson(sandbox.remotePath, { 'slow.txt': slow });
  context = await sandbox.context();
  await checkOut(sandbox, context);
  work = context.workspace.paths.work;
  await writeFiles(work, { 'slow.txt': `${slow}\n${GITHUB_TOKEN}` });
  expect(await scan({ fileTimeoutMs: 1_000 })).toMatchObject(detected('slow.txt (NOT_SEARCHED_IN_TIME)'));
  // A search that is over before its time counts nothing; on a busy machine that can happen even here.
  const late = await waitFor(
    async () => {
      const answer = await scan({ fileTimeoutMs: 0, enabled: false, registered: [REGISTERED] });
      return answer.ok ? null : answer;
    },
    { deadlineMs: 30_000, what: 'a search that is not over in time' },
  );
  expect(late).toMatchObject(detected('slow.txt (NOT_SEARCHED_IN_TIME)'));
});

test('100 MB in 1,000 files are searched in bounded memory', async () => {
  const line = `export const value = "${'lorem ipsum '.repeat(8)}";\n`;
  const text = line.repeat(Math.ceil(100_000 / line.length));
  for (let index = 0; index < 1_000; index += 1) writeFileSync(join(work, `f${index}.ts`), `// ${index}\n${text}`);
  const { sha } = await mustCommit(context, base);
  const before = process.memoryUsage().rss;
  let most = before;
  const look = setInterval(() => {
    most = Math.max(most, process.memoryUsage().rss);
  }, 20);
  const started = performance.now();
  expect(await findSecrets(context, { from: base, to: sha, rules: { ...RULES, registered: [REGISTERED] } })).toEqual({
    ok: true,
  });
  clearInterval(look);
  const mebibytes = Math.round((most - before) / 1024 ** 2);
  process.stdout.write(`100 MB searched in ${Math.round(performance.now() - started)} ms, ${mebibytes} MiB more\n`);
  expect(mebibytes).toBeLessThan(300);
}, 60_000);

test('of a file of 100 MB the beginning is searched', async () => {
  const filler = Buffer.alloc(90 * 1024 ** 2, 'x\n');
  writeFileSync(join(work, 'late.txt'), Buffer.concat([filler, Buffer.from(GITHUB_TOKEN)]));
  expect(await scan()).toEqual({ ok: true });
  writeFileSync(join(work, 'late.txt'), Buffer.concat([Buffer.from(`${GITHUB_TOKEN}\n`), filler]));
  expect(await scan()).toMatchObject(detected('late.txt:1 (GITHUB_TOKEN)'));
}, 60_000);
