import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { sql } from 'kysely';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Agent, AgentTask } from '../../src/agents/agent.ts';
import { createScripted } from '../../src/agents/scripted.ts';
import { readLog } from '../../src/builds/build-log.ts';
import { startBuild } from '../../src/builds/start-build.ts';
import { CallbackDelivery } from '../../src/callbacks/deliver-callbacks.ts';
import type { CredentialInput } from '../../src/credentials/credential-input.ts';
import { setCredential } from '../../src/credentials/set-credential.ts';
import { readEvents } from '../../src/events/read-events.ts';
import type { Project } from '../../src/projects/project.ts';
import { openReceiver } from '../callbacks/receiver.ts';
import { dumpDatabase, findInFiles, spellings } from '../e2e/find-secrets.ts';
import { startGitServer } from '../support/git-server.ts';
import { openTestStack, type TestStack } from '../support/orchestrator.ts';
import { script } from '../support/script.ts';
import { waitFor } from '../support/wait-for.ts';

const VARIABLE = 'KEYED_API_KEY';
let stack: TestStack;

/** The scripted agent, as one whose provider wants a key: it gets it in its environment, as real ones do. */
function keyedAgent(): Agent {
  const environment = { PATH: process.env.PATH ?? '', LANG: 'C.UTF-8' };
  return {
    ...createScripted({ environment }),
    name: 'keyed',
    modelKey: { variable: VARIABLE, hasDefault: false },
    open: (task: AgentTask) => {
      const { key = '', baseUrl = null } = task.modelKey ?? {};
      return createScripted({ environment: { ...environment, [VARIABLE]: key, KEYED_BASE_URL: baseUrl ?? '' } }).open(
        task,
      );
    },
  };
}

beforeAll(async () => {
  stack = await openTestStack();
  (stack.orchestrator.agents as Map<string, Agent>).set('keyed', keyedAgent());
  (stack.orchestrator.providers as string[]).push('keyed');
  (stack.orchestrator.modelVariables as string[]).push(VARIABLE);
  await stack.openWorker(4);
});
afterAll(() => stack[Symbol.asyncDispose]());

function set(projectId: string | null, given: Omit<CredentialInput, 'projectId'>) {
  const { orchestrator } = stack;
  const input = { projectId, ...given };
  return orchestrator.db.transaction().execute((trx) => setCredential(trx, orchestrator, { input, actor: 'test' }));
}

async function run(project: Project, prompt: string, spec: object = {}) {
  const { build } = await startBuild(stack.orchestrator, { projectId: project.id, spec: { prompt, ...spec } }, 'test');
  return stack.finished(build.id);
}

async function logOf(buildId: string): Promise<string> {
  const chunks = await readLog(stack.orchestrator.db, { buildId, after: 0, limit: 1000 });
  return chunks.flatMap(({ lines }) => lines.map(({ text }) => text)).join('\n');
}

const keyed = { provider: 'keyed', autoCommit: false };

test('a provider that needs a key and has none is said so before anything is begun', async () => {
  const build = await run(await stack.createProject(), script({ print: 'never' }), keyed);
  expect(build.failure).toMatchObject({
    reason: 'PROVIDER_AUTH',
    phase: 'PREPARING',
    message: `keyed needs a key, and neither the project nor the worker has one for ${VARIABLE}.`,
  });
});

test('the key of the project goes before that of all, with its own address, and to no other agent', async () => {
  const project = await stack.createProject();
  await set(null, {
    name: 'everybody',
    modelApiKey: { variable: VARIABLE, key: 'global-key-global-key', baseUrl: 'https://gateway.example' },
  });
  const say = `test "$${VARIABLE}" = WANTED && echo "right $KEYED_BASE_URL."; env | grep -c KEYED_ || true`;
  const first = await run(project, script({ run: say.replace('WANTED', 'global-key-global-key') }), keyed);
  expect(await logOf(first.id)).toContain('right https://gateway.example.');
  await set(project.id, { name: 'own', modelApiKey: { variable: VARIABLE, key: 'own-key-own-key' } });
  const second = await run(project, script({ run: say.replace('WANTED', 'own-key-own-key') }), keyed);
  expect(await logOf(second.id)).toContain('right .');
  const other = await run(project, script({ run: `env | grep KEYED_ || echo "nothing here"` }), { autoCommit: false });
  expect(await logOf(other.id)).toContain('nothing here');
  const used = stack.orchestrator.db.selectFrom('credentials').select(['name', 'last_used_at']).orderBy('name');
  expect(await used.execute()).toMatchObject([
    { name: 'everybody', last_used_at: expect.any(Date) },
    { name: 'own', last_used_at: expect.any(Date) },
  ]);
});

test('a credential that cannot be opened ends the build that needs it, by name, and no other', async () => {
  const project = await stack.createProject({ repositoryUrl: 'https://git.invalid/x.git' });
  await set(project.id, {
    name: 'host',
    git: { url: 'https://git.invalid', username: 'u', password: 'a long password' },
  });
  await sql`update credentials set sealed = '' where project_id = ${project.id}`.execute(stack.orchestrator.db);
  const build = await run(project, script({ print: 'never' }));
  expect(build.failure).toMatchObject({ reason: 'CREDENTIAL_UNREADABLE', message: expect.stringContaining('host') });
  const other = await stack.createProject();
  await set(other.id, { name: 'npm', registry: { url: 'https://npm.example', token: 'a-long-token' } });
  await set(null, { name: 'npm', registry: { url: 'https://npm.example', token: 'not-in-its-place' } });
  await sql`update credentials set sealed = '' where project_id = ${other.id}`.execute(stack.orchestrator.db);
  const works = await run(other, script({ run: 'test ! -e ~/.npmrc' }), { autoCommit: false });
  expect(works).toMatchObject({ status: 'COMPLETED' });
  await sql`delete from credentials where project_id is null and name = 'npm'`.execute(stack.orchestrator.db);
});

test('registries are in the home of the agent while it runs, and not afterwards', async () => {
  const project = await stack.createProject();
  await set(project.id, { name: 'npm', registry: { url: 'https://npm.example/team', token: 'npm-token-npm-token' } });
  // Whatever the agent puts in its place, nothing is followed.
  const look = 'cat ~/.npmrc; stat -c %a ~/.npmrc; rm ~/.npmrc; ln -s /etc/passwd ~/.npmrc';
  const build = await run(project, script({ run: look }), { autoCommit: false });
  const log = await logOf(build.id);
  expect(log).toContain('//npm.example/team/:_authToken=[redacted]');
  expect(log).toContain('600');
  expect((await readFile('/etc/passwd', 'utf8')).length).toBeGreaterThan(0);
});

// biome-ignore-start lint/suspicious/noTemplateCurlyInString: the templates of another program.
/** Prints a secret in every way that a program might, and leaves it in files, names and its last words. */
function leak(secret: string) {
  const program = [
    `const s = ${JSON.stringify(secret)};`,
    'console.log(s); console.error(s); console.log(encodeURIComponent(s), Buffer.from(s).toString("hex"));',
    'console.log(Buffer.from(s).toString("base64"), Buffer.from(`x:${s}`).toString("base64url"));',
    'console.log(JSON.stringify({ text: `${s}` }), JSON.stringify(JSON.stringify(s)));',
    'const half = s.length / 2; process.stdout.write(s.slice(0, half));',
    'setTimeout(() => { process.stdout.write(s.slice(half) + "\\n"); }, 300);',
    'const fs = require("fs"); fs.mkdirSync("dist"); fs.writeFileSync("dist/clean.txt", "clean");',
    'fs.writeFileSync("dist/leak.txt", `x${"y".repeat(2 ** 20 - 8)}${s}`); fs.writeFileSync(`dist/${encodeURIComponent(s)}.txt`, "");',
  ].join('\n');
  return { run: `cat > leak.cjs <<'EOF'\n${program}\nEOF\nnode leak.cjs; rm leak.cjs` };
}
// biome-ignore-end lint/suspicious/noTemplateCurlyInString: as above.

test('no secret of a build is in any row, log line, event, artifact, callback or message', async () => {
  await using opened = new AsyncDisposableStack();
  const receiver = opened.use(await openReceiver({}));
  const gitServer = opened.use(await startGitServer({ username: 'bot', password: 'git-Password/ä-+"1234' }));
  const remote = await gitServer.createRepository('shop');
  const project = await stack.createProject({ repositoryUrl: remote.url, settings: { artifacts: ['dist/*'] } });
  const planted = {
    git: 'git-Password/ä-+"1234',
    model: 'model-key-0123456789',
    global: 'global-npm-token-0123',
    signing: `whsec_${Buffer.from('0123456789abcdef0123456789abcdef').toString('base64')}`,
  };
  await set(project.id, { name: 'host', git: { url: remote.url, username: 'bot', password: planted.git } });
  await set(project.id, { name: 'model', modelApiKey: { variable: VARIABLE, key: planted.model } });
  await set(project.id, { name: 'signing', callbackSigning: { secret: planted.signing } });
  await set(null, { name: 'registry', registry: { url: 'https://global.example', token: planted.global } });
  const delivery = opened.use(new CallbackDelivery(stack.orchestrator));
  delivery.open();
  const secrets = [...Object.values(planted), planted.signing.slice(6)];
  const spec = { provider: 'keyed', callbackUrl: receiver.url };
  const steps = secrets.map(leak);
  const failing = script(...steps.slice(0, 4).flatMap((step) => [step, { run: 'rm -r dist' }]), {
    fail: `gave up: ${secrets.join(' ')}`,
  });
  const failed = await run(project, failing, spec);
  expect(failed.failure).toMatchObject({
    reason: 'AGENT_ERROR',
    message: expect.stringContaining('gave up: [redacted]'),
  });
  const good = script({ print: `Done with ${planted.model}.` }, leak(planted.git), {
    write: { path: 'a.txt', content: 'a' },
  });
  const done = await run(project, good, { ...spec, autoCommit: false });
  expect(done.result?.artifacts.map(({ name }) => name)).toEqual(['dist/clean.txt']);
  const events = await readEvents(stack.orchestrator.db, { buildId: done.id, after: 0, limit: 1_000 });
  expect(JSON.stringify(events)).toContain('The artifact dist/leak.txt was not kept');
  await waitFor(() => receiver.received.length === 2, { deadlineMs: 10_000, what: 'the callbacks' });
  // What clients sent as the prompt is theirs; everything else is looked through.
  await sql`update build_audit set spec = spec - 'prompt'`.execute(stack.orchestrator.db);
  const stored = await dumpDatabase(stack.databaseUrl);
  const logs = await Promise.all([failed.id, done.id].map(logOf));
  const told = [stored, ...logs, JSON.stringify(receiver.received)].join('\n');
  for (const secret of secrets)
    for (const spelled of spellings(secret)) expect(told.includes(spelled), spelled).toBe(false);
  expect(logs.join('\n')).toContain('[redacted]');
  const artifacts = join(stack.dataFolder, 'artifacts');
  expect(await findInFiles(artifacts, secrets.flatMap(spellings))).toEqual([]);
});
