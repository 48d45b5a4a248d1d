/** Paths of artifacts that lead out of the checkout (H121-H126). Archives are kept as files: nothing unpacks them. */
import { execFileSync } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startBuild } from '../../src/builds/start-build.ts';
import { createProject } from '../../src/projects/create-project.ts';
import { writeFiles } from '../git/sandbox.ts';
import { openTestStack, type TestStack } from '../support/orchestrator.ts';
import { script } from '../support/script.ts';

let stack: TestStack;
beforeAll(async () => {
  stack = await openTestStack();
  await stack.openWorker(1);
});
afterAll(() => stack[Symbol.asyncDispose]());

test.each(['../x', '/etc/passwd', 'a/../../b', 'a\0b', 'x'.repeat(4096), '', 'C:/x', '{a,b}', 'a\\b'])(
  'the glob %j is ARTIFACT_PATH',
  async (glob) => {
    const project = { name: 'x', settings: { artifacts: ['dist/**', glob] } };
    await expect(createProject(stack.orchestrator, project, 'test')).rejects.toMatchObject({
      code: 'ARTIFACT_PATH',
      issues: [{ path: ['input', 'settings', 'artifacts', '1'] }],
    });
  },
);

test('of a checkout full of traps the regular files inside are kept, each as it is', async () => {
  const outside = join(stack.dataFolder, 'outside');
  await mkdir(outside, { recursive: true });
  await writeFiles(outside, { 'secret.txt': 'not of this build' });
  const project = await stack.createProject({ settings: { artifacts: ['**', '.git/**'] } });
  const slip = [
    'import io, tarfile, zipfile',
    'z = zipfile.ZipFile("slip.zip", "w")',
    'z.writestr("../../evil.txt", "x")',
    'z.close()',
    't = tarfile.open("slip.tar", "w")',
    'i = tarfile.TarInfo("../../evil.txt")',
    'i.size = 1',
    't.addfile(i, io.BytesIO(b"x"))',
    't.close()',
  ].join('\n');
  const steps = [
    { write: { path: 'plain.txt', content: 'x' } },
    { run: `ln -s '${outside}' up && ln -s '${outside}/secret.txt' link.txt && ln -s / slash && mkfifo pipe` },
    { run: 'ln -s .. parent && mkdir folder && ln -s ../plain.txt folder/inner.txt' },
    ...(hasPython() ? [{ run: `python3 -c '${slip}'` }] : []),
  ];
  const { build } = await startBuild(
    stack.orchestrator,
    { projectId: project.id, spec: { prompt: script(...steps) } },
    'test',
  );
  const finished = await stack.finished(build.id, 60_000);
  expect(finished).toMatchObject({ status: 'COMPLETED' });
  const names = finished.result?.artifacts.map(({ name }) => name).sort();
  expect(names).toEqual(hasPython() ? ['plain.txt', 'slip.tar', 'slip.zip'] : ['plain.txt']);
}, 90_000);

function hasPython(): boolean {
  try {
    execFileSync('python3', ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
