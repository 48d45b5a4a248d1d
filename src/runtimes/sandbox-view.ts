/** What of the machine's files a run sees: programs and their settings to read, and nothing that is somebody's. */
import type { Stats } from 'node:fs';
import { lstat, readdir, readFile, readlink, realpath } from 'node:fs/promises';
import { homedir } from 'node:os';
import { delimiter, dirname, isAbsolute, join, relative } from 'node:path';

export interface SandboxView {
  /** Links of the root folder, such as /bin -> usr/bin. */
  readonly links: readonly { readonly path: string; readonly target: string }[];
  /** Absolute paths of files and folders. */
  readonly readable: readonly string[];
  /** Inside of what is readable, and not to be seen. */
  readonly hiddenFiles: readonly string[];
  readonly hiddenFolders: readonly string[];
  /** Inside of what is hidden, and readable all the same: the objects that the checkout's git borrows. */
  readonly borrowed: readonly string[];
}

export interface ViewOptions {
  /** PATH of the programs. */
  readonly path: string;
  /** Names or paths. */
  readonly programs: readonly string[];
  /** Other files that the programs read. */
  readonly files: readonly string[];
  /** What the operator adds. */
  readonly readable: readonly string[];
  /** Never to be seen: Slipway's data. */
  readonly hidden: string;
  /** The trusted git folder. */
  readonly git: string;
}

const SYSTEM = ['/usr', '/bin', '/sbin', '/lib', '/lib32', '/lib64', '/libx32', '/etc', '/nix/store'];
/** Entries of /etc; a machine has about 2,000. */
const MAX_ETC_ENTRIES = 50_000;
const OTHERS_READ = 0o004;
const OTHERS_READ_AND_ENTER = 0o005;

export async function sandboxView(options: ViewOptions): Promise<SandboxView> {
  const system = await Promise.all(SYSTEM.map(async (path) => ({ path, found: await look(path) })));
  const folders = system.flatMap(({ path, found }) => (found?.isDirectory() ? [path] : []));
  const links = await Promise.all(
    system
      .filter(({ found }) => found?.isSymbolicLink())
      .map(async ({ path }) => ({ path, target: await readlink(path) })),
  );
  const hidden = await realpath(options.hidden);
  const searched = await searchedFolders(options.path, hidden);
  const added = await existing([...searched, ...options.readable, ...options.files]);
  const programs = await Promise.all(options.programs.map((program) => findProgram(program, options.path)));
  const own = await existing([...programs.flat(), '/etc/resolv.conf']);
  const real = await Promise.all(own.map((path) => realpath(path)));
  const readable = outermost([...folders, ...added, ...real]);
  const secret = folders.includes('/etc') ? await privateEntries('/etc') : { files: [], folders: [] };
  const kernel = await privateEntries('/proc', { deep: false });
  return {
    links,
    readable,
    hiddenFiles: [...secret.files, ...kernel.files],
    hiddenFolders: [...secret.folders, ...(readable.some((path) => contains(path, hidden)) ? [hidden] : [])],
    borrowed: await borrowedObjects(options.git),
  };
}

/** Folders of PATH, and the `lib` beside each: what is in `bin` often is a link or a script that leads there. */
async function searchedFolders(path: string, hidden: string): Promise<string[]> {
  const folders = path.split(delimiter).filter((folder) => isAbsolute(folder));
  const candidates = folders.flatMap((folder) => [folder, join(dirname(folder), 'lib')]);
  const home = homedir();
  const wanted = await Promise.all(
    (await existing(candidates)).map(async (folder) => {
      const real = await realpath(folder);
      const isTooMuch = contains(real, hidden) || contains(real, home) || contains(hidden, real);
      return isTooMuch ? [] : [folder];
    }),
  );
  return wanted.flat();
}

/** Where it is, if it is anywhere. */
async function findProgram(program: string, path: string): Promise<string[]> {
  if (isAbsolute(program)) return [program];
  if (program.includes('/')) return [];
  const folders = path.split(delimiter).filter((folder) => isAbsolute(folder));
  return (await existing(folders.map((folder) => join(folder, program)))).slice(0, 1);
}

/**
 * Of the machine's settings a run sees what every user may read. A worker that is root could read the others, too, and
 * so could what it starts.
 */
async function privateEntries(top: string, { deep } = { deep: true }): Promise<{ files: string[]; folders: string[] }> {
  const files: string[] = [];
  const folders: string[] = [];
  let left = MAX_ETC_ENTRIES;
  async function walk(folder: string): Promise<void> {
    const entries = await readdir(folder).catch(() => []);
    left -= entries.length;
    if (left < 0) throw new Error(`${top} has more than ${MAX_ETC_ENTRIES} entries.`);
    await Promise.all(
      entries.map(async (name) => {
        const path = join(folder, name);
        const found = await look(path);
        if (found === null || found.isSymbolicLink()) return;
        if (!found.isDirectory()) {
          if ((found.mode & OTHERS_READ) === 0) files.push(path);
        } else if (!deep) {
          return;
        } else if ((found.mode & OTHERS_READ_AND_ENTER) === OTHERS_READ_AND_ENTER) await walk(path);
        else folders.push(path);
      }),
    );
  }
  await walk(top);
  return { files, folders };
}

/** The checkout's own `.git` has no objects of the project's history: it borrows them as the trusted git folder does. */
async function borrowedObjects(git: string): Promise<string[]> {
  const alternates = await readFile(join(git, 'objects', 'info', 'alternates'), 'utf8').catch(() => '');
  return existing(alternates.split('\n').filter((line) => isAbsolute(line)));
}

async function existing(paths: readonly string[]): Promise<string[]> {
  const found = await Promise.all(paths.map(async (path) => ((await exists(path)) ? [path] : [])));
  return found.flat();
}

async function exists(path: string): Promise<boolean> {
  return realpath(path).then(
    () => true,
    () => false,
  );
}

async function look(path: string): Promise<Stats | null> {
  return lstat(path).catch(() => null);
}

/** Without those that lie in another one. */
function outermost(paths: readonly string[]): string[] {
  const unique = [...new Set(paths)];
  return unique.filter((path) => !unique.some((other) => other !== path && contains(other, path)));
}

function contains(folder: string, path: string): boolean {
  const way = relative(folder, path);
  return way === '' || (way !== '..' && !way.startsWith('../') && !isAbsolute(way));
}
