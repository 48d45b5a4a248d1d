/**
 * Every trap writes a marker. None may appear while we publish, and each must appear when plain git does the same, or
 * the trap proves nothing.
 */
import { afterAll, expect, test } from 'vitest';
import { TRAPS } from '../git/git-traps.ts';
import { writeFiles } from '../git/sandbox.ts';
import { openTrapScene, publish, publishWithPlainGit } from '../git/trap-scene.ts';

let vectors = 0;
let executions = 0;

afterAll(() => {
  process.stdout.write(`git vectors: ${vectors}, code executions: ${executions}\n`);
});

test.each(TRAPS)('nothing runs: $name', async (trap) => {
  await using scene = await openTrapScene();
  await trap.set(scene);
  await writeFiles(scene.work, { 'a.txt': '2\n', 'b.evil': 'changed\n', 'c.evil': 'new\n' });
  await publish(scene);
  vectors += 1;
  if (await scene.sprung()) executions += 1;
  expect(await scene.sprung()).toBe(false);
  publishWithPlainGit(scene, trap);
  expect(await scene.sprung(), 'plain git springs the trap').toBe(true);
});

test('the vectors are at least the 27 that are known to execute', () => {
  expect(new Set(TRAPS.map(({ name }) => name)).size).toBeGreaterThanOrEqual(27);
});
