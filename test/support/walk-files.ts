/** The files of a folder in which others are at work. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';

/** Paths of the regular files below the folder, which need not be there; links are not followed. What goes meanwhile is left out. */
export async function* walkFiles(folder: string): AsyncGenerator<string, void, undefined> {
  // Not the recursion of readdir or opendir: that gives up when a folder goes while it walks.
  const folders = [folder];
  for (let next = folders.pop(); next !== undefined; next = folders.pop()) {
    for (const entry of await unlessGone(readdir(next, { withFileTypes: true }), [])) {
      const path = join(next, entry.name);
      if (entry.isDirectory()) folders.push(path);
      if (entry.isFile()) yield path;
    }
  }
}

/** What the reading gives; `nothing` when what is read is not there any more. */
export async function unlessGone<T>(reading: Promise<T>, nothing: NoInfer<T>): Promise<T> {
  try {
    return await reading;
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return nothing;
    throw error;
  }
}
