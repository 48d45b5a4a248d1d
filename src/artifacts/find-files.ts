/** Finds the files to keep in a checkout that an agent has had to itself: nothing in it is trusted. */
import type { Dirent } from 'node:fs';
import { lstat, opendir, realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { InvalidInputError } from '../errors.ts';
import { type GlobMatch, globProblem, startGlobMatch } from '../std/glob.ts';

/** Directory entries looked at in one search. */
const MAX_ENTRIES = 500_000;
/** Characters of a path below the root. */
const MAX_PATH = 1_024;

export interface FoundFile {
  /** Relative to the root, with slashes. */
  readonly path: string;
  /** Without a symbolic link anywhere in it. */
  readonly absolutePath: string;
  readonly sizeBytes: number;
}

export interface FindLimits {
  readonly maxFiles: number;
  /** Of all files together. */
  readonly maxBytes: number;
}

/**
 * The regular files below `root` that match any of the globs, by path. Symbolic links are neither followed nor found,
 * `.git` is not looked into. Throws InvalidInputError: ARTIFACT_PATH for a glob or a path that is not acceptable,
 * ARTIFACT_LIMIT when there is more than the limits allow.
 */
export async function findFiles(root: string, globs: readonly string[], limits: FindLimits): Promise<FoundFile[]> {
  for (const glob of globs) {
    const problem = globProblem(glob);
    if (problem) refuse(`The artifact glob ${JSON.stringify(glob)} ${problem}.`, 'ARTIFACT_PATH');
  }
  const realRoot = await realpath(root);
  const found: FoundFile[] = [];
  let bytes = 0;
  for await (const path of matchingPaths(realRoot, globs)) {
    const file = await examine(realRoot, path);
    if (!file) continue;
    found.push(file);
    bytes += file.sizeBytes;
    if (found.length > limits.maxFiles) refuse(`More than ${limits.maxFiles} files match.`, 'ARTIFACT_LIMIT');
    if (bytes > limits.maxBytes) refuse(`The files that match exceed ${limits.maxBytes} bytes.`, 'ARTIFACT_LIMIT');
  }
  return found.sort((a, b) => (a.path < b.path ? -1 : 1));
}

interface Folder {
  readonly path: string;
  readonly match: GlobMatch;
}

async function* matchingPaths(root: string, globs: readonly string[]): AsyncGenerator<string> {
  const folders: Folder[] = [{ path: '', match: startGlobMatch(globs) }];
  let entries = 0;
  for (let folder = folders.pop(); folder; folder = folders.pop()) {
    for await (const entry of readFolder(join(root, folder.path))) {
      entries += 1;
      if (entries > MAX_ENTRIES) refuse(`There are more than ${MAX_ENTRIES} files to look at.`, 'ARTIFACT_LIMIT');
      if (entry.name.toLowerCase() === '.git') continue;
      const path = folder.path === '' ? entry.name : `${folder.path}/${entry.name}`;
      const match = folder.match.step(entry.name);
      const isFolder = entry.isDirectory() && !match.isDead;
      if (!isFolder && !(entry.isFile() && match.matches)) continue;
      if (Buffer.byteLength(path) > MAX_PATH) {
        refuse(`The path ${JSON.stringify(path.slice(0, 80))}… exceeds ${MAX_PATH} bytes.`, 'ARTIFACT_PATH');
      }
      if (isFolder) folders.push({ path, match });
      else yield path;
    }
  }
}

/** One entry at a time: a folder with a million files must not be in memory at once. */
async function* readFolder(path: string): AsyncGenerator<Dirent> {
  const folder = await unlessGone(opendir(path));
  if (folder) yield* folder;
}

/** Null when it is not, or no longer, a regular file that the root reaches without a symbolic link. */
async function examine(root: string, path: string): Promise<FoundFile | null> {
  const absolutePath = join(root, path);
  if ((await unlessGone(realpath(absolutePath))) !== absolutePath) return null;
  const stats = await unlessGone(lstat(absolutePath));
  return stats?.isFile() ? { path, absolutePath, sizeBytes: stats.size } : null;
}

async function unlessGone<T>(result: Promise<T>): Promise<T | null> {
  try {
    return await result;
  } catch (error) {
    if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR')) return null;
    throw error;
  }
}

function refuse(message: string, code: 'ARTIFACT_PATH' | 'ARTIFACT_LIMIT'): never {
  throw new InvalidInputError([{ path: ['artifacts'], message }], code);
}
