/** The main job with real parts only: Claude Code, git over HTTP with a password, Postgres, a bot in another process. */
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Client, createClient } from '../../src/client/client.ts';
import { CreateProjectDocument, StartBuildDocument } from '../../src/client/generated.ts';
import { watchBuild } from '../../src/client/watch-build.ts';
import { watchLog } from '../../src/client/watch-log.ts';
import { type SlipwayProcess, startSlipway, upAnswer } from '../cli/slipway-process.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';
import { openFakeModel } from '../support/fake-model/fake-model.ts';
import { LOGO } from '../support/fake-model/scripts.ts';
import { type GitServerRepository, startGitServer } from '../support/git-server.ts';
import { findAgent } from '../support/real-agents.ts';
import { bubblewrap } from '../support/sandbox.ts';
import { openTcpProxy } from '../support/tcp-proxy.ts';
import { waitFor } from '../support/wait-for.ts';
import { type CallbackReceiver, startCallbackReceiver } from './callback-receiver.ts';
import { cutTenTimes, upTo } from './cut-ten-times.ts';
import { dumpDatabase, findInFiles, spellings } from './find-secrets.ts';
import { followBySse } from './follow-by-sse.ts';
import { type Endpoint, requestData } from './graphql-request.ts';

const run = promisify(execFile);

const agent = await findAgent('claude-code');

const PASSWORD = `git-${randomBytes(18).toString('hex')}`;
const API_KEY = `sk-ant-${randomBytes(18).toString('hex')}`;

const SEED = {
  'README.md': 'This is an old text.\n',
  'src/old-name.js': 'export const answer = 42;\n\nexport function ask() {\n  return answer;\n}\n',
  'src/untouched.js': 'export {};\n',
};

const RESULT_QUERY = `query ($id: ID!) {
  build(id: $id) {
    status attempt
    callbacks { status tries attempts { statusCode error } }
    result {
      success output publication commitSha commitUrl branch durationMs sessionId
      error { reason }
      filesChanged { path previousPath status additions deletions }
      artifacts { id name contentType sizeBytes sha256 }
      usage { inputTokens outputTokens cacheReadTokens cacheWriteTokens costUsd turns }
    }
  }
}`;

const EVENTS_QUERY = `query ($id: ID!) {
  build(id: $id) {
    spec { prompt callbackUrl }
    project { repositoryUrl }
    events(first: 100) { nodes { __typename cursor ... on AgentActivity { content {
      __typename ... on AgentMessage { text } ... on AgentToolCall { input } ... on AgentToolResult { output }
    } } } }
  }
}`;

const opened = new AsyncDisposableStack();
let folder: string;
let database: TestDatabase;
let repository: GitServerRepository;
let slipway: SlipwayProcess;
let endpoint: Endpoint;
let client: Client;
let receiver: CallbackReceiver;
let callbackSecret: string;
let buildId: string;

/** Commits the files to `main` of the bare repository; the sha. */
async function seed(path: string): Promise<string> {
  const work = join(folder, 'seed');
  const git = (...args: string[]) => run('git', ['-C', work, '-c', 'user.name=Ann', '-c', 'user.email=a@b.c', ...args]);
  await run('git', ['clone', '--quiet', path, work]);
  for (const [name, content] of Object.entries(SEED)) {
    await mkdir(dirname(join(work, name)), { recursive: true });
    await writeFile(join(work, name), content);
  }
  await git('add', '.');
  await git('commit', '--quiet', '-m', 'First');
  await git('push', '--quiet', 'origin', 'HEAD:main');
  return (await git('rev-parse', 'HEAD')).stdout.trim();
}

async function inRepository(...args: string[]): Promise<string> {
  return (await run('git', ['-C', repository.path, ...args])).stdout;
}

async function openParts(program: string): Promise<string> {
  folder = await mkdtemp(join(tmpdir(), 'slipway-e2e-'));
  opened.defer(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }));
  database = opened.use(await openTestDatabase());
  const gitServer = opened.use(await startGitServer({ username: 'bot', password: PASSWORD }));
  const model = opened.use(await openFakeModel());
  repository = await gitServer.createRepository('shop');
  const seedSha = await seed(repository.path);
  slipway = startSlipway(['up', '--json'], {
    SLIPWAY_DATABASE_URL: database.url,
    SLIPWAY_DATA: join(folder, 'data'),
    SLIPWAY_PORT: '0',
    SLIPWAY_LOG_LEVEL: 'trace',
    SLIPWAY_CALLBACK_ALLOW_PRIVATE: 'true',
    SLIPWAY_CLAUDE_PATH: program,
    ANTHROPIC_API_KEY: API_KEY,
    ANTHROPIC_BASE_URL: model.url,
  });
  opened.defer(async () => {
    slipway.child.kill('SIGTERM');
    await slipway.ended;
  });
  endpoint = await upAnswer(slipway);
  client = opened.use(createClient(endpoint));
  return seedSha;
}

async function startTheBuild(): Promise<void> {
  const { createProject } = await client.request(CreateProjectDocument, {
    input: {
      name: 'Shop',
      repositoryUrl: repository.url,
      gitCredentials: { username: 'bot', password: PASSWORD },
      settings: { artifacts: ['assets/*'] },
    },
  });
  if (createProject.__typename !== 'CreateProjectPayload') throw new Error(JSON.stringify(createProject));
  callbackSecret = createProject.callbackSecret ?? '';
  receiver = opened.use(await startCallbackReceiver(callbackSecret));
  const prompt = 'Rework the shop. [[script:rework]]';
  // Where there is a sandbox, the agent reaches its model and nothing else.
  const network = bubblewrap && ({ access: 'NONE' } as const);
  const spec = { prompt, provider: 'claude-code', callbackUrl: receiver.url, network };
  const { startBuild } = await client.request(StartBuildDocument, {
    input: { projectId: createProject.project.id, spec },
  });
  if (startBuild.__typename !== 'StartBuildPayload') throw new Error(JSON.stringify(startBuild));
  buildId = startBuild.build.id;
}

describe.skipIf('missing' in agent)('a build by the real Claude Code', () => {
  let seedSha: string;

  beforeAll(async () => {
    seedSha = await openParts('program' in agent ? agent.program : '');
    await startTheBuild();
  });
  afterAll(() => opened.disposeAsync());

  test('is seen exactly once over WebSocket and over SSE, each cut ten times', async () => {
    await using socketProxy = await openTcpProxy(Number(new URL(endpoint.url).port));
    await using eventProxy = await openTcpProxy(Number(new URL(endpoint.url).port));
    const through = ({ port }: { port: number }) => ({ ...endpoint, url: `http://127.0.0.1:${port}/graphql` });
    await using cutClient = createClient(through(socketProxy));
    const [overSocket, overEvents, held] = await Promise.all([
      cutTenTimes(socketProxy, watchBuild(cutClient, buildId)),
      cutTenTimes(eventProxy, followBySse(through(eventProxy), buildId)),
      secretsHeldWhileTheAgentWorks(),
    ]);
    for (const { seen, cuts } of [overSocket, overEvents]) {
      expect(cuts).toBe(10);
      expect(seen.map(({ cursor }) => Number(cursor))).toEqual(upTo(seen.length));
      expect(seen.at(-1)).toMatchObject({ type: 'FINISHED' });
    }
    expect(overSocket.seen.map(({ type }) => type)).toEqual(overEvents.seen.map(({ type }) => type));
    expect(overSocket.seen.length).toBeGreaterThan(50);
    expect(held).toEqual([]);
  }, 60_000);

  /** The files of the build that name the repository's password, when the agent is at it. */
  async function secretsHeldWhileTheAgentWorks(): Promise<string[]> {
    for await (const { type } of watchBuild(client, buildId)) {
      if (type === 'AGENT_ACTIVITY') break;
    }
    return findInFiles(join(folder, 'data'), [
      ...spellings(PASSWORD),
      ...spellings(`bot:${PASSWORD}`),
      ...spellings(callbackSecret.slice('whsec_'.length)),
    ]);
  }

  test('is one commit on the remote, with the edited, the renamed, the untracked and the binary file', async () => {
    const { build } = await requestData(endpoint, RESULT_QUERY, { id: buildId });
    expect(build).toMatchObject({ status: 'COMPLETED', attempt: 1, result: { success: true, publication: 'PUSHED' } });
    const sha = build.result.commitSha;
    expect((await inRepository('rev-list', 'main')).split('\n')).toEqual([sha, seedSha, '']);
    const changes = await inRepository('diff-tree', '-r', '-M', '--name-status', '--no-commit-id', sha);
    expect(changes.trimEnd().split('\n')).toEqual([
      'M\tREADME.md',
      'A\tassets/logo.bin',
      'A\tnotes/new.md',
      'R100\tsrc/old-name.js\tsrc/new-name.js',
    ]);
    const logo = await run('git', ['-C', repository.path, 'cat-file', 'blob', `${sha}:assets/logo.bin`], {
      encoding: 'buffer',
    });
    expect(LOGO.equals(logo.stdout)).toBe(true);
    expect(await inRepository('show', `${sha}:README.md`)).toBe('This is a new text.\n');
    expect(await inRepository('show', `${sha}:notes/new.md`)).toBe('Not tracked before.\n');
    expect(await inRepository('show', '-s', '--format=%(trailers)', sha)).toContain(
      `Slipway-Build: ${buildId}\nSlipway-Attempt: 1\n`,
    );
    expect(build.result.filesChanged).toEqual([
      { path: 'README.md', previousPath: null, status: 'MODIFIED', additions: 1, deletions: 1 },
      { path: 'assets/logo.bin', previousPath: null, status: 'ADDED', additions: null, deletions: null },
      { path: 'notes/new.md', previousPath: null, status: 'ADDED', additions: 1, deletions: 0 },
      { path: 'src/new-name.js', previousPath: 'src/old-name.js', status: 'RENAMED', additions: 0, deletions: 0 },
    ]);
  });

  test('is reported once to a bot in another process, which verifies it and reads what the API says', async () => {
    const { build } = await waitFor(
      async () => {
        const answer = await requestData(endpoint, RESULT_QUERY, { id: buildId });
        return answer.build.callbacks[0]?.status === 'DELIVERED' && answer;
      },
      { what: 'the delivery' },
    );
    expect(build.callbacks).toMatchObject([{ tries: 1, attempts: [{ statusCode: 200, error: null }] }]);
    expect(receiver.received).toHaveLength(1);
    const { artifacts, ...result } = build.result;
    expect(artifacts).toMatchObject([{ name: 'assets/logo.bin', sizeBytes: LOGO.length }]);
    expect(receiver.received[0]).toMatchObject({
      payload: {
        task_id: buildId,
        build_id: buildId,
        status: 'COMPLETED',
        result: {
          ...(snakeCase(result) as object),
          output_truncated: false,
          files_changed_total: 4,
          artifacts: { commit_sha: result.commitSha, files: snakeCase(artifacts), files_total: 1 },
        },
      },
    });
  });

  test('shows no secret anywhere, though the agent printed what it had', async () => {
    const lines: string[] = [];
    for await (const batch of watchLog(client, buildId)) lines.push(...batch.map(({ text }) => text));
    const readable = {
      log: lines.join('\n'),
      events: JSON.stringify(await requestData(endpoint, EVENTS_QUERY, { id: buildId })),
      result: JSON.stringify(await requestData(endpoint, RESULT_QUERY, { id: buildId })),
      callback: JSON.stringify(receiver.received),
      database: await dumpDatabase(database.url),
      serverLog: slipway.stderr,
    };
    // What is searched is what was meant to be searched.
    expect(readable.log).toContain('key=[redacted]');
    expect(readable.events).toContain('key=[redacted]');
    expect(readable.database).toContain('key=[redacted]');
    expect(readable.callback).toContain(buildId);
    expect(readable.serverLog).toContain(buildId);
    const secrets = [PASSWORD, `bot:${PASSWORD}`, API_KEY, callbackSecret, callbackSecret.slice('whsec_'.length)];
    for (const [place, text] of Object.entries(readable)) {
      const leaked = secrets.flatMap(spellings).filter((spelling) => text.includes(spelling));
      expect({ place, leaked }).toEqual({ place, leaked: [] });
    }
    expect(await findInFiles(join(folder, 'data'), secrets.slice(0, 2).flatMap(spellings))).toEqual([]);
  });
});

/** As the callback writes keys. */
function snakeCase(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(snakeCase);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).map(([key, inner]) => [
    key.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
    snakeCase(inner),
  ]);
  return Object.fromEntries(entries);
}
