/** A commit whose push was intended by a worker that is gone with its machine. */
import { execFileSync } from 'node:child_process';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { ClaimedBuild } from '../../src/builds/build.ts';
import { openPostgresLedger } from '../../src/builds/postgres-ledger.ts';
import { rescueBuilds } from '../../src/builds/rescue-builds.ts';
import { startBuild } from '../../src/builds/start-build.ts';
import { ensureManagedRepository } from '../../src/git/managed-repository.ts';
import { commitAsPerson, plainGit } from '../git/sandbox.ts';
import { claimByHand, registerByHand } from '../support/claim.ts';
import { openTestStack, type TestStack } from '../support/orchestrator.ts';
import { script } from '../support/script.ts';

test('any other worker pushes it, and the agent is not run again', async () => {
  await using stack = await openTestStack();
  const { repository, lose } = await openScene(stack);
  const base = await commitAsPerson(repository, { a: 'a' });
  const { sha, pack } = await commitElsewhere(stack, repository);
  const ended = await lose({ sha, base, pack });
  expect(ended).toMatchObject({ attemptNo: 2, status: 'COMPLETED', result: { publication: 'PUSHED', commitSha: sha } });
  expect(plainGit(repository, 'log', '--format=%H %s', 'main').split('\n')[0]).toBe(`${sha} elsewhere`);
  expect(await keptCommits(stack)).toBe(0);
});

test('one that was not kept is lost: the build fails and says so', async () => {
  await using stack = await openTestStack();
  const { repository, lose } = await openScene(stack);
  const base = await commitAsPerson(repository, { a: 'a' });
  const sha = 'c'.repeat(40);
  const message = expect.stringContaining(`The commit ${sha} had not arrived`);
  const ended = await lose({ sha, base, pack: null });
  expect(ended).toMatchObject({ attemptNo: 2, failure: { reason: 'GIT_PUSH_FAILED', message } });
});

test('one whose base is gone from the remote is lost, too, and is kept no longer', async () => {
  await using stack = await openTestStack();
  const { repository, lose } = await openScene(stack);
  const base = await commitAsPerson(repository, { a: 'a' });
  const { sha, pack } = await commitElsewhere(stack, repository);
  plainGit(repository, 'update-ref', '-d', 'refs/heads/main');
  await commitAsPerson(repository, { z: 'another history' });
  const ended = await lose({ sha, base, pack });
  expect(ended.failure).toMatchObject({ reason: 'GIT_PUSH_FAILED' });
  expect(await keptCommits(stack)).toBe(0);
});

async function openScene(stack: TestStack) {
  const { orchestrator } = stack;
  const repository = join(stack.dataFolder, 'remote.git');
  await ensureManagedRepository(repository, 'main');
  const project = await stack.createProject({ repositoryUrl: repository });
  const prompt = script({ fail: 'the agent is never run' });
  const { build } = await startBuild(orchestrator, { projectId: project.id, spec: { prompt } }, 'test');
  return {
    repository,
    /** The worker dies after the intent; another one, on another machine, goes on. */
    async lose({ sha, base, pack }: { sha: string; base: string; pack: Buffer | null }) {
      const elsewhere = await registerByHand(stack, '/another/machine');
      const claimed: ClaimedBuild = await claimByHand(stack, elsewhere);
      const intent = { sha, branch: 'main', expected: base, filesChanged: [] };
      expect(await openPostgresLedger(orchestrator, claimed).recordPushIntent(intent, pack)).toBe(true);
      await rescueBuilds(orchestrator, { workers: [elsewhere] });
      await stack.openWorker();
      return stack.finished(build.id);
    },
  };
}

async function commitElsewhere(stack: TestStack, repository: string): Promise<{ sha: string; pack: Buffer }> {
  const clone = join(stack.dataFolder, 'elsewhere');
  plainGit(stack.dataFolder, 'clone', '--quiet', repository, clone);
  await writeFile(join(clone, 'b'), 'b');
  plainGit(clone, 'add', 'b');
  plainGit(clone, 'commit', '--quiet', '-m', 'elsewhere');
  const sha = plainGit(clone, 'rev-parse', 'HEAD').trim();
  const input = `${sha}\n--not\n${sha}^@\n`;
  const pack = execFileSync('git', ['pack-objects', '--quiet', '--revs', '--thin', '--stdout'], { cwd: clone, input });
  await rm(clone, { recursive: true });
  return { sha, pack };
}

async function keptCommits(stack: TestStack): Promise<number> {
  return (await stack.orchestrator.db.selectFrom('intended_commits').select('sha').execute()).length;
}
