import { appendFile, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createRedactor } from '../../src/runtimes/redact.ts';
import { MAX_LINE_BYTES, type OutputLine } from '../../src/runtimes/runtime.ts';
import { SpoolFile } from '../../src/runtimes/spool-file.ts';

let folder: string;
let path: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'slipway-spool-'));
  path = join(folder, 'stdout');
});

afterEach(() => rm(folder, { recursive: true }));

async function readToEnd(spool: SpoolFile): Promise<OutputLine[]> {
  const lines: OutputLine[] = [];
  for (let next = await spool.next(); next !== null; next = await spool.next()) lines.push(...next);
  return lines;
}

test('follows a file that grows until it is sealed', async () => {
  await writeFile(path, 'one\ntw');
  await using spool = await SpoolFile.open({ path, stream: 'stdout', from: 0, redact: (line) => line });
  expect(await readToEnd(spool)).toEqual([{ stream: 'stdout', text: 'one', truncated: false, end: 4 }]);
  await appendFile(path, 'o\nthree');
  await spool.seal();
  await appendFile(path, ' and what a daemon wrote later\n');
  expect((await readToEnd(spool)).map((line) => line.text)).toEqual(['two']);
  expect(spool.last()).toMatchObject({ text: 'three', end: 13 });
});

test('a cut line never shows a part of the secret that the cut went through', async () => {
  const secret = 'a-very-secret-value';
  await writeFile(path, `${'x'.repeat(MAX_LINE_BYTES - 12)}${secret}\n`);
  await using spool = await SpoolFile.open({ path, stream: 'stdout', from: 0, redact: createRedactor([secret]) });
  const [line] = await readToEnd(spool);
  expect(line?.truncated).toBe(true);
  expect(line?.text).not.toContain('a-very');
});
