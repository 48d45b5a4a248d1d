/** What every keeper of an attempt's record must do: beside the database, and over the API of a server. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { findArtifacts } from '../../src/artifacts/artifact.ts';
import { type Build, type ClaimedBuild, findBuild } from '../../src/builds/build.ts';
import { readLog } from '../../src/builds/build-log.ts';
import { cancelBuild } from '../../src/builds/cancel-build.ts';
import { Ledger } from '../../src/builds/ledger.ts';
import type { EntryType, LedgerEntries, LedgerStore } from '../../src/builds/ledger-store.ts';
import { rescueBuilds } from '../../src/builds/rescue-builds.ts';
import { sendMessage } from '../../src/builds/send-message.ts';
import { startBuild } from '../../src/builds/start-build.ts';
import type { CredentialInput } from '../../src/credentials/credential-input.ts';
import { setCredential } from '../../src/credentials/set-credential.ts';
import { SupersededError } from '../../src/errors.ts';
import { readEvents } from '../../src/events/read-events.ts';
import { findProject } from '../../src/projects/project.ts';
import { openTestStack, type TestStack } from '../support/orchestrator.ts';
import { script } from '../support/script.ts';

export interface LedgerHarness extends AsyncDisposable {
  readonly workerId: string;
  /** The build that is next, as a worker of this kind is given it. */
  claim(): Promise<ClaimedBuild>;
  open(build: ClaimedBuild): LedgerStore;
}

const COMMIT = { sha: 'a'.repeat(40), branch: 'main', expected: null, filesChanged: [] };
const progress = (message: string) => ({ changes: { events: [{ type: 'PROGRESS', data: { message } }] } }) as const;
const contentOf = (text: string) =>
  async function* () {
    yield Buffer.from(text);
  };

export function describeLedger(name: string, openHarness: (stack: TestStack) => Promise<LedgerHarness>): void {
  describe(`ledger contract: ${name}`, () => {
    let stack: TestStack;
    let harness: LedgerHarness;

    beforeAll(async () => {
      stack = await openTestStack();
      harness = await openHarness(stack);
    });
    afterAll(async () => {
      await harness[Symbol.asyncDispose]();
      await stack[Symbol.asyncDispose]();
    });

    const repositoryUrl = 'https://git.example.com/a.git';
    async function claimNew() {
      const project = await stack.createProject({ repositoryUrl });
      const input = { prompt: script({ print: 'x' }) };
      const { build } = await startBuild(stack.orchestrator, { projectId: project.id, spec: input }, 'test');
      const claimed = await harness.claim();
      expect(claimed.id).toBe(build.id);
      return { project, build: claimed, store: harness.open(claimed) };
    }
    const find = async ({ id }: Pick<Build, 'id'>) => (await findBuild(stack.orchestrator.db, id)) as Build;
    const eventsOf = ({ id }: Pick<Build, 'id'>) =>
      readEvents(stack.orchestrator.db, { buildId: id, after: 0, limit: 1_000 });
    async function lose(build: ClaimedBuild): Promise<void> {
      await rescueBuilds(stack.orchestrator, { workers: [harness.workerId] });
      expect(await find(build)).toMatchObject({ status: 'PENDING' });
    }

    test('what is claimed is the same wherever it is claimed', async () => {
      const { build, store } = await claimNew();
      const mine = { workerId: harness.workerId, checkpoint: {}, quotaWaits: 0, talkNo: 0 };
      expect(build).toEqual({ ...(await find(build)), ...mine });
      await store.commit(1, 'FINISH', { conclusion: { status: 'COMPLETED', result: {} } });
    });

    test('a write is one transaction, and the same number twice is applied once', async () => {
      const { build, store } = await claimNew();
      const usage = {
        inputTokens: 7,
        outputTokens: 1,
        cacheReadTokens: null,
        cacheWriteTokens: null,
        costUsd: 0.5,
        turns: 1,
      };
      const changes = {
        phase: 'AGENT',
        events: [{ type: 'WARNING', data: { message: '\u{1F600} "$date"' } }],
        lines: [{ stream: 'stdout', text: 'hello\u2028' }],
        checkpoint: { sessionId: 's', spoolOffset: { stdout: 4, stderr: 0 } },
        baseSha: 'b'.repeat(40),
        usage,
      } as const;
      for (let times = 0; times < 3; times += 1) await store.commit(1, 'WRITE', { changes });
      expect(await store.lastNumber()).toBe(1);
      expect(await find(build)).toMatchObject({ phase: 'AGENT', baseSha: 'b'.repeat(40), usage, lastLine: 1 });
      const warnings = (await eventsOf(build)).filter(({ type }) => type === 'WARNING');
      expect(warnings.map(({ data }) => data)).toEqual([{ message: '\u{1F600} "$date"' }]);
      const log = await readLog(stack.orchestrator.db, { buildId: build.id, after: 0, limit: 10 });
      expect(log.flatMap(({ lines }) => lines.map(({ text }) => text))).toEqual(['hello\u2028']);
      expect(await store.ask('dayBudget', {})).toEqual({ leftUsd: null, leftTokens: null, usedUp: null });
      await store.commit(2, 'FINISH', { conclusion: { status: 'COMPLETED', result: {} } });
      expect(await store.ask('reportEnd', {})).toBeNull();
    });

    test('a number that is left out, and every entry of an attempt that is over, is refused', async () => {
      const { build, store } = await claimNew();
      await expect(store.commit(2, 'WRITE', progress('2'))).rejects.toThrow(SupersededError);
      await lose(build);
      const again = await harness.claim();
      const session = { id: null, why: 'MESSAGE', workerId: harness.workerId, usage: null, ranMs: 0 } as const;
      const wait = {
        key: { provider: 'scripted', credential: 'worker', variable: null },
        seconds: 1,
        message: 'x',
        paused: null,
      };
      const entries: LedgerEntries = {
        WRITE: progress('late'),
        PUSH_INTENT: { commit: COMMIT, pack: Buffer.from('x') },
        KEEP_ARTIFACT: { file: { id: again.id, name: 'a', contentType: 'text/plain' }, content: contentOf('a') },
        TAKE_TURN: { end: { interrupted: false, session } },
        EXPIRE_QUESTIONS: {},
        FINISH: { conclusion: { status: 'COMPLETED', result: {} } },
        RELEASE: { message: 'x' },
        LOSE_WORKSPACE: { message: 'x' },
        WAIT_FOR_QUOTA: { wait },
      };
      for (const [type, entry] of Object.entries(entries)) {
        const late = store.commit(1, type as EntryType, entry as LedgerEntries[EntryType]);
        await expect(late, type).rejects.toThrow(SupersededError);
      }
      await expect(store.lastNumber()).rejects.toThrow(SupersededError);
      expect((await eventsOf(build)).some(({ type }) => type === 'PROGRESS')).toBe(false);
      await harness.open(again).commit(1, 'FINISH', { conclusion: { status: 'COMPLETED', result: {} } });
    });

    test('an answer that was lost is given again', async () => {
      const { build, store } = await claimNew();
      const file = { id: build.id, name: 'a/b.txt', contentType: 'text/plain' };
      const keep = () => store.commit(1, 'KEEP_ARTIFACT', { file, content: contentOf('kept') });
      const kept = await keep();
      expect(kept).toMatchObject({ ...file, sizeBytes: 4 });
      expect(await keep()).toEqual(kept);
      expect(await store.ask('artifacts', {})).toEqual([kept]);
      expect(await findArtifacts(stack.orchestrator.db, [build.id])).toHaveLength(1);
      const pack = Buffer.from([0, 1, 2, 255]);
      const intend = () => store.commit(2, 'PUSH_INTENT', { commit: COMMIT, pack });
      expect([await intend(), await intend()]).toEqual([true, true]);
      expect(await store.ask('pack', { sha: COMMIT.sha })).toEqual(pack);
      expect(await store.ask('pack', { sha: 'c'.repeat(40) })).toBeNull();
      const finish = () => store.commit(3, 'FINISH', { conclusion: { status: 'COMPLETED', result: {} } });
      await finish();
      await finish();
      expect((await eventsOf(build)).filter(({ type }) => type === 'FINISHED')).toHaveLength(1);
      const seqs = (await eventsOf(build)).map(({ seq }) => seq);
      expect(seqs).toEqual(seqs.map((_, index) => index + 1));
    });

    test('a turn that was taken is told again to whoever was not answered', async () => {
      const { build, store } = await claimNew();
      await sendMessage(stack.orchestrator, { buildId: build.id, text: 'and tests', mode: 'QUEUE' }, 'test');
      expect(await store.ask('messages', {})).toMatchObject([{ text: 'and tests', createdAt: expect.any(Date) }]);
      const session = { id: 's', why: 'MESSAGE', workerId: harness.workerId, usage: null, ranMs: 5 } as const;
      const take = () => store.commit(1, 'TAKE_TURN', { end: { interrupted: false, session } });
      const turn = await take();
      expect(turn).toEqual({ messageIds: [expect.any(String)], as: 'QUEUE' });
      expect(await take()).toEqual(turn);
      await store.commit(2, 'WRITE', {
        changes: { talk: { delivered: { ids: turn?.messageIds ?? [], as: 'QUEUE' } } },
      });
      const none = () => store.commit(3, 'TAKE_TURN', { end: { interrupted: false, session } });
      expect([await none(), await none()]).toEqual([null, null]);
      expect(await find(build)).toMatchObject({ phase: 'VERIFYING' });
      expect(await store.commit(4, 'EXPIRE_QUESTIONS', {})).toBe(false);
      expect(await store.commit(5, 'LOSE_WORKSPACE', { message: 'gone' })).toBe('released');
      expect(await store.commit(5, 'LOSE_WORKSPACE', { message: 'gone' })).toBe('released');
      const again = await harness.claim();
      await harness.open(again).commit(1, 'FINISH', { conclusion: { status: 'COMPLETED', result: {} } });
    });

    test('nothing is pushed of a build that somebody has cancelled, and its reason is told', async () => {
      const { build, store } = await claimNew();
      await cancelBuild(stack.orchestrator, { id: build.id, reason: 'not now' }, 'test');
      expect(await store.commit(1, 'PUSH_INTENT', { commit: COMMIT, pack: null })).toBe(false);
      expect(await store.commit(1, 'PUSH_INTENT', { commit: COMMIT, pack: null })).toBe(false);
      expect(await store.ask('cancelReason', {})).toBe('not now');
      await store.commit(2, 'FINISH', { conclusion: { status: 'CANCELLED', result: {}, reason: 'not now' } });
      expect(await find(build)).toMatchObject({ status: 'CANCELLED' });
    });

    test('it tells the project, and the secrets that the build uses', async () => {
      const { project, build, store } = await claimNew();
      const { db } = stack.orchestrator;
      const put = (credential: Omit<CredentialInput, 'projectId'>) => {
        const input = { projectId: project.id, ...credential };
        return db.transaction().execute((trx) => setCredential(trx, stack.orchestrator, { input, actor: 'test' }));
      };
      await put({ name: 'host', git: { url: repositoryUrl, username: 'me', password: 'git-password' } });
      await put({ name: 'model', modelApiKey: { variable: 'ANTHROPIC_API_KEY', key: 'sk-model-key' } });
      await put({ name: 'other', modelApiKey: { variable: 'OPENAI_API_KEY', key: 'sk-other-key' } });
      const secrets = await store.ask('secrets', { variable: 'ANTHROPIC_API_KEY' });
      expect(secrets).toMatchObject({
        git: { username: 'me', password: 'git-password' },
        model: { key: 'sk-model-key' },
        registries: [],
      });
      expect(secrets.hidden).toEqual(expect.arrayContaining(['git-password', 'sk-model-key']));
      expect(secrets.hidden.includes('sk-other-key')).toBe(name === 'beside the database');
      expect(await store.ask('project', {})).toEqual(await findProject(stack.orchestrator.db, project.id));
      expect(await store.ask('isBeside', { workerId: harness.workerId })).toBe(true);
      expect(await store.ask('isBeside', { workerId: build.id })).toBe(false);
      await store.commit(1, 'FINISH', { conclusion: { status: 'COMPLETED', result: {} } });
    });

    test('an entry that the database refuses leaves its number free', async () => {
      const { build, store } = await claimNew();
      const ledger = new Ledger(store, build);
      const name = Array.from({ length: 8_000 }, () => Math.random().toString(36)[2]).join('');
      await expect(ledger.keepArtifact({ name, contentType: 'x' }, contentOf('x'))).rejects.toThrow();
      await ledger.write({ events: [{ type: 'PROGRESS', data: { message: 'still here' } }] });
      await ledger.finish({ status: 'COMPLETED', result: {} });
      expect(await find(build)).toMatchObject({ status: 'COMPLETED' });
    });
  });
}
