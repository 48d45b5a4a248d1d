/** A workspace of the local runtime with a remote to clone, and a person who works on that remote. */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createAgentRepository } from '../../src/git/agent-repository.ts';
import { prepareCheckout } from '../../src/git/clone-repository.ts';
import { commitChanges } from '../../src/git/commit-changes.ts';
import type { GitContext, GitRemote } from '../../src/git/git.ts';
import { ensureManagedRepository } from '../../src/git/managed-repository.ts';
import { openLocalRuntime } from '../../src/runtimes/local.ts';

const DATE = new Date('2026-03-01T10:00:00Z');
export const PERSON = { name: 'Slipway', email: 'slipway@example.com' };

export interface Sandbox extends AsyncDisposable {
  readonly folder: string;
  readonly cache: string;
  /** A bare repository on this machine. */
  readonly remotePath: string;
  context(options?: { buildId?: string; remote?: GitRemote } & Partial<GitContext>): Promise<GitContext>;
}

export async function openSandbox(): Promise<Sandbox> {
  const folder = await mkdtemp(join(tmpdir(), 'slipway-git-'));
  const runtime = await openLocalRuntime({ folder: join(folder, 'builds') });
  const remotePath = join(folder, 'remote.git');
  await ensureManagedRepository(remotePath, 'main');
  return {
    folder,
    cache: join(folder, 'caches', 'project.git'),
    remotePath,
    async context({ buildId = 'build-1', ...overrides } = {}) {
      return {
        workspace: await runtime.open(buildId),
        remote: { url: remotePath, credentials: null },
        signal: new AbortController().signal,
        timeoutMs: 20_000,
        environment: { PATH: process.env.PATH },
        allowLocal: true,
        ...overrides,
      };
    },
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  };
}

/** Writes files below `folder`; null deletes. */
export async function writeFiles(folder: string, files: Record<string, string | Buffer | null>): Promise<void> {
  for (const [name, content] of Object.entries(files)) {
    const path = join(folder, name);
    if (content === null) {
      await rm(path, { recursive: true, force: true });
      continue;
    }
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, content);
  }
}

/** Plain git of a person: no global configuration, a fixed identity. */
export function plainGit(cwd: string, ...args: string[]): string {
  return runPlainGit(cwd, args).toString();
}

function runPlainGit(cwd: string, args: string[], input: string | Buffer = ''): Buffer {
  const env = {
    PATH: process.env.PATH ?? '',
    HOME: '/dev/null',
    GIT_CONFIG_GLOBAL: '/dev/null',
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_AUTHOR_NAME: 'Ada',
    GIT_AUTHOR_EMAIL: 'ada@example.com',
    GIT_COMMITTER_NAME: 'Ada',
    GIT_COMMITTER_EMAIL: 'ada@example.com',
  };
  return execFileSync('git', args, { cwd, env, input, stdio: ['pipe', 'pipe', 'pipe'] });
}

interface At {
  readonly branch?: string;
  /** Where a new branch begins. */
  readonly from?: string;
}

/** A person commits these files to a branch of the bare repository (null deletes); gives the sha. */
export async function commitAsPerson(
  bare: string,
  files: Record<string, string | Buffer | null>,
  at: At = {},
): Promise<string> {
  const changes = Object.entries(files).flatMap(([name, content]) =>
    content === null ? [`D ${name}\n`] : [`M 100644 inline ${name}\n`, ...data(content)],
  );
  return importCommit(bare, changes, at);
}

/** A person adds a submodule: an entry that names a commit of another repository. */
export async function commitSubmodule(bare: string, path: string, commit = '1'.repeat(40)): Promise<string> {
  return importCommit(bare, [`M 160000 ${commit} ${path}\n`], {});
}

function importCommit(bare: string, changes: readonly (string | Buffer)[], at: At): string {
  const { branch = 'main', from = branch } = at;
  const ref = `refs/heads/${branch}`;
  const parent = existsSync(join(bare, 'refs/heads', from)) ? [`from refs/heads/${from}^0\n`] : [];
  const stream = [
    `commit ${ref}\ncommitter Ada <ada@example.com> ${Math.floor(Date.now() / 1000)} +0000\n`,
    ...data('A change by a person'),
    ...parent,
    ...changes,
  ];
  runPlainGit(bare, ['fast-import', '--quiet', '--force'], Buffer.concat(stream.map((part) => Buffer.from(part))));
  return plainGit(bare, 'rev-parse', ref).trim();
}

function data(content: string | Buffer): (string | Buffer)[] {
  return [`data ${Buffer.byteLength(content)}\n`, content, '\n'];
}

/** The answer, or the test fails with what git said. */
export function must<T extends { ok: boolean }>(answer: T): Extract<T, { ok: true }> {
  if (!answer.ok) throw new Error(JSON.stringify(answer));
  return answer as Extract<T, { ok: true }>;
}

/** A checkout of `branch` with a repository for the agent, as a build makes it. */
export async function checkOut(sandbox: Sandbox, context: GitContext, branch = 'main') {
  const checkout = must(await prepareCheckout(context, { branch, defaultBranch: 'main', cache: sandbox.cache }));
  must(await createAgentRepository(context, { branch, baseSha: checkout.baseSha }));
  return checkout;
}

/** Commits whatever is in the work tree on top of `baseSha`. */
export async function commitAll(context: GitContext, baseSha: string | null) {
  return commitChanges(context, {
    baseSha,
    message: 'Build 1',
    trailers: { 'Slipway-Build': 'build-1', 'Slipway-Attempt': '1' },
    date: DATE,
    author: PERSON,
  });
}

/** The sha of a commit that must have come about. */
export async function mustCommit(context: GitContext, baseSha: string | null) {
  const commit = must(await commitAll(context, baseSha));
  if (!commit.changed) throw new Error('Nothing was committed.');
  return commit;
}
