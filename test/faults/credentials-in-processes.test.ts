/** Where a password can be seen while a build runs: nowhere but in the environment of git and of its askpass. */
import { chmod, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startBuild } from '../../src/builds/start-build.ts';
import { findInFiles, spellings } from '../e2e/find-secrets.ts';
import { type GitServer, type GitServerRepository, startGitServer } from '../support/git-server.ts';
import { openTestStack, type TestStack } from '../support/orchestrator.ts';
import { script } from '../support/script.ts';

const PASSWORD = 'a-password-0123456789-of-git';

let stack: TestStack;
let gitServer: GitServer;
let repository: GitServerRepository;

beforeAll(async () => {
  stack = await openTestStack();
  await stack.openWorker();
  gitServer = await startGitServer({ username: 'bot', password: PASSWORD });
  repository = await gitServer.createRepository('shop');
  // The push waits until it was looked at.
  const hook = join(repository.path, 'hooks', 'pre-receive');
  await mkdir(join(repository.path, 'hooks'), { recursive: true });
  await writeFile(hook, `#!/bin/sh\n${untilSeen('push')}\n`);
  await chmod(hook, 0o755);
});
afterAll(async () => {
  await stack[Symbol.asyncDispose]();
  await gitServer[Symbol.asyncDispose]();
});

/** A command that waits for the mark `seen(…)`, half a minute at most. */
function untilSeen(what: string): string {
  return `i=0; until [ -e '${repository.path}/${what}-seen' ] || [ $i -ge 300 ]; do i=$((i+1)); sleep 0.1; done`;
}

function seen(what: string): Promise<void> {
  return writeFile(join(repository.path, `${what}-seen`), '');
}

interface Sighting {
  readonly argv: readonly string[];
  readonly environment: readonly string[];
}

/** Every process of the machine that we may look at. One that ends meanwhile has nothing. */
async function processes(): Promise<Sighting[]> {
  const read = async (path: string) => (await readFile(path, 'utf8').catch(() => '')).split('\0').filter(Boolean);
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  return Promise.all(
    pids.map(async (pid) => {
      // In this order: one that becomes another program meanwhile has the arguments of the program that it is then.
      const environment = await read(`/proc/${pid}/environ`);
      return { environment, argv: await read(`/proc/${pid}/cmdline`) };
    }),
  );
}

test('the password of the remote is in no argument, file or environment but that of git', async () => {
  const project = await stack.createProject({
    repositoryUrl: repository.url,
    gitCredentials: { username: 'bot', password: PASSWORD },
  });
  const look = 'cat .git/config; env | sort; git config --list --show-origin; git credential fill </dev/null';
  const prompt = script(
    { run: look, allowFailure: true },
    { run: untilSeen('agent') },
    { write: { path: 'a.txt', content: 'a' } },
  );
  const { build } = await startBuild(stack.orchestrator, { projectId: project.id, spec: { prompt } }, 'test');
  const texts = spellings(PASSWORD);
  const holds = (words: readonly string[]) => words.some((word) => texts.some((text) => word.includes(text)));
  const counts = { agent: 0, git: 0, pushing: 0 };
  const finished = stack.finished(build.id, 60_000);
  let ended = false;
  const end = () => {
    ended = true;
  };
  finished.then(end, end);
  while (!ended) {
    for (const { argv, environment } of await processes()) {
      expect(holds(argv), argv.join(' ')).toBe(false);
      const isOurs = environment.some((variable) => variable.startsWith(`SLIPWAY_BUILD_ID=${build.id}`));
      const isAgent = isOurs && argv.some((word) => word.includes('scripted-program'));
      if (isAgent) {
        counts.agent += 1;
        await seen('agent');
        expect(environment.filter((variable) => /^(GIT_ASKPASS|SLIPWAY_GIT_)/.test(variable))).toEqual([]);
      }
      if (!holds(environment)) continue;
      counts.git += 1;
      if (argv.includes('push')) {
        counts.pushing += 1;
        await seen('push');
      }
      expect(isAgent).toBe(false);
      // git, its helper for HTTP, and the script that it asks.
      expect(argv[0] ?? 'git', argv.join(' ')).toMatch(/(^|\/)(git|git-remote-https?|sh)$/);
      const holders = environment.filter((variable) => holds([variable])).map((variable) => variable.split('=')[0]);
      expect(holders).toEqual(['SLIPWAY_GIT_PASSWORD']);
    }
    // What git and the agent leave in files, while they are at it.
    expect(await findInFiles(stack.dataFolder, texts)).toEqual([]);
  }
  expect(await finished).toMatchObject({ status: 'COMPLETED', result: { publication: 'PUSHED' } });
  expect(counts.agent).toBeGreaterThan(0);
  expect(counts.pushing).toBeGreaterThan(0);
  process.stdout.write(
    `looked at the agent ${counts.agent} times, at processes of git with the password ${counts.git} times\n`,
  );
}, 90_000);
