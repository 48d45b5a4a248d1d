/**
 * The init container of a build's pod: `node copy-tools.ts FOLDER` puts everything there that Slipway's programs need in an
 * image that knows nothing of them:
 *
 *   node       this very Node, for any image with glibc 2.28 or newer and libstdc++
 *   slipway/   the sources and package.json
 *   cache/     what Node has compiled of them, for NODE_COMPILE_CACHE: a start takes a third of the time
 *
 * May be repeated: a kubelet that is not sure runs an init container again. Needs no file system but the folder's.
 */
import { execFile } from 'node:child_process';
import { constants } from 'node:fs';
import { access, chmod, copyFile, cp, mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
/** Where the image keeps what was compiled when it was made; see deploy/Dockerfile. It counts for machines of that kind. */
const COMPILED = join(ROOT, 'tools-cache');
/** Besides those of `src/runtimes/inside`. */
const PROGRAMS = [
  'agents/acp-program.ts',
  'agents/claude-code-program.ts',
  'agents/opencode-program.ts',
  'agents/scripted-program.ts',
  'runtimes/egress-forwarder.ts',
  'runtimes/egress-program.ts',
];
const COMPILE_LIMIT_MS = 60_000;
/** Imported first, it ends the process when all modules are compiled and none has run. */
const END = 'data:text/javascript,process.exit(0)';

/** Rejects when the folder cannot be written, or one of the programs cannot be loaded from it. */
export async function copyTools(folder: string): Promise<void> {
  const sources = join(folder, 'slipway');
  const node = join(folder, 'node');
  const cache = join(folder, 'cache');
  await mkdir(sources, { recursive: true });
  await copyFile(process.execPath, node, constants.COPYFILE_FICLONE);
  await chmod(node, 0o755);
  await copyFile(join(ROOT, 'package.json'), join(sources, 'package.json'));
  await cp(join(ROOT, 'src'), join(sources, 'src'), { recursive: true });
  if (await exists(COMPILED)) await cp(COMPILED, cache, { recursive: true });
  await compile({ node, cache, programs: (await listPrograms()).map((name) => join(sources, 'src', name)) });
}

/** Relative to the sources: whatever is started in a pod. None of them may need a package. */
export async function listPrograms(): Promise<readonly string[]> {
  const inside = await readdir(import.meta.dirname);
  const here = inside.filter((name) => name.endsWith('.ts') && name !== 'copy-tools.ts').sort();
  return [...here.map((name) => `runtimes/inside/${name}`), ...PROGRAMS];
}

/** Also the proof that what was copied can be loaded. */
async function compile({ node, cache, programs }: { node: string; cache: string; programs: readonly string[] }) {
  const text = [END, ...programs].map((module) => `import ${JSON.stringify(module)};`).join('\n');
  await promisify(execFile)(node, ['--input-type=module', '--eval', text], {
    env: { NODE_COMPILE_CACHE: cache },
    timeout: COMPILE_LIMIT_MS,
  });
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [, , folder] = process.argv;
  if (folder === undefined) throw new Error('Say where to: copy-tools.ts FOLDER.');
  await copyTools(folder);
}
