/** What the init container of a build's pod copies is all that Slipway's programs need there. */
import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join, normalize } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { copyTools, listPrograms } from '../../src/runtimes/inside/copy-tools.ts';

const SOURCES = join(import.meta.dirname, '../../src');
const IMPORTS = /^(?:import|export)\s+(type\s+)?(?:[^'"]*?from\s+)?'([^']+)'/gm;

/** Packages that the program loads at its start, with the file that imports them. */
async function packagesOf(program: string): Promise<string[]> {
  const found: string[] = [];
  const open = [program];
  const seen = new Set(open);
  for (let file = open.pop(); file !== undefined; file = open.pop()) {
    const text = await readFile(join(SOURCES, file), 'utf8');
    for (const [, isType, target = ''] of text.matchAll(IMPORTS)) {
      if (isType || target.startsWith('node:')) continue;
      const path = normalize(join(dirname(file), target));
      if (!target.startsWith('.')) found.push(`${file}: ${target}`);
      else if (!seen.has(path) && path.endsWith('.ts')) {
        seen.add(path);
        open.push(path);
      }
    }
  }
  return found;
}

test('no program in a pod needs a package', async () => {
  const programs = await listPrograms();
  const packages = await Promise.all(programs.map(packagesOf));
  expect(packages.flat()).toEqual([]);
});

test('every program that an adapter starts is among them', async () => {
  const adapters = (await readdir(join(SOURCES, 'agents'))).filter((name) => name.endsWith('.ts'));
  const texts = await Promise.all(adapters.map((name) => readFile(join(SOURCES, 'agents', name), 'utf8')));
  const started = texts.flatMap((text) => [...text.matchAll(/= ownProgram\('\.\/([^']+)'/g)].map(([, name]) => name));
  expect(started.length).toBeGreaterThan(3);
  const known = (await listPrograms()).map((name) => basename(name, '.ts'));
  expect(started.filter((name) => !known.includes(name ?? ''))).toEqual([]);
});

test('the copy runs without the original, is compiled, and can be repeated', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'slipway-tools-'));
  try {
    await copyTools(folder);
    await copyTools(folder);
    expect((await readdir(folder)).sort()).toEqual(['cache', 'node', 'slipway']);
    const program = join(folder, 'slipway/src/agents/scripted-program.ts');
    const env = { NODE_COMPILE_CACHE: join(folder, 'cache'), NODE_DEBUG_NATIVE: 'COMPILE_CACHE' };
    // It wants to be told what to do; what counts is how it was loaded.
    const running = promisify(execFile)(join(folder, 'node'), [program], { env, timeout: 20_000 });
    running.child.stdin?.end();
    const { stdout, stderr } = await running.catch((error: { stdout: string; stderr: string }) => error);
    expect(`${stdout}${stderr}`).toMatch(/cache for .*scripted-program\.ts was accepted/);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
