import { randomUUID } from 'node:crypto';
import { lstat, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { decodePath, splitNul, takeRawChanges } from './changes.ts';
import { copyIndex } from './copy-index.ts';
import { type GitContext, git } from './git.ts';
import { type GitFailure, gitFailure } from './git-failure.ts';

const MAX_CHANGED_FILES = 20_000;
const MAX_FILE_BYTES = 100 * 1024 * 1024;
/** Of all changed files together. */
const MAX_COMMIT_BYTES = 1024 * 1024 * 1024;
/** A list of paths that is longer holds more files than a commit may. */
const MAX_LIST_BYTES = 32 * 1024 * 1024;
const GITLINK = '160000';

interface PathLists {
  readonly ok: true;
  /** Latin-1, as in `RawChange`. */
  readonly removed: readonly string[];
  readonly written: readonly string[];
}

/**
 * Writes the whole work tree as a tree object, as `git add -A` would: untracked, deleted and changed files, links as
 * links, .gitignore respected. FIFOs and sockets are passed over; submodules stay as they were checked out. Answers
 * NESTED_REPOSITORY or FILE_LIMIT before anything is stored. Can be repeated: the index of the checkout is not touched.
 *
 * `git add` itself is not used, because it runs `git status` inside of submodules, with the configuration that the
 * agent left there.
 */
export async function stageWorkTree(context: GitContext): Promise<{ ok: true; tree: string } | GitFailure> {
  const gitDir = context.workspace.paths.git;
  const index = join(gitDir, `index.${randomUUID()}`);
  try {
    await copyIndex(join(gitDir, 'index'), index);
    return await stage(context, index);
  } finally {
    await rm(index, { force: true });
    await rm(`${index}.lock`, { force: true });
  }
}

async function stage(context: GitContext, index: string): Promise<{ ok: true; tree: string } | GitFailure> {
  const changed = await listChangedPaths(context, index);
  if (!changed.ok) return changed;
  const lists = await selectPaths(context, changed);
  if (!lists.ok) return lists;
  const options = { workTree: true, env: { GIT_INDEX_FILE: index } };
  // Removals first: where a file has become a folder or a folder a file, the new one needs the place of the old.
  for (const [flags, paths] of [
    [['--force-remove'], lists.removed],
    [['--add'], lists.written],
  ] as const) {
    if (paths.length === 0) continue;
    const stdin = Buffer.from(`${paths.join('\0')}\0`, 'latin1');
    const updated = await git(context, ['update-index', ...flags, '-z', '--stdin'], { ...options, stdin });
    if (!updated.ok) return updated;
    const ignored = /^Ignoring path (.*)$/m.exec(updated.stderr)?.[1];
    if (ignored !== undefined) return gitFailure('NESTED_REPOSITORY', `git does not store the path ${ignored}.`);
  }
  const written = await git(context, ['write-tree'], options);
  return written.ok ? { ok: true, tree: written.stdout.toString().trim() } : written;
}

async function listChangedPaths(context: GitContext, index: string): Promise<PathLists | GitFailure> {
  const options = { workTree: true, env: { GIT_INDEX_FILE: index }, maxOutputBytes: MAX_LIST_BYTES };
  const refreshed = await git(context, ['update-index', '-q', '--ignore-submodules', '--refresh'], {
    ...options,
    accept: [1],
  });
  if (!refreshed.ok) return refreshed;
  const tracked = await git(context, ['diff-files', '-z', '--raw', '--ignore-submodules=all'], options);
  if (!tracked.ok) return tooLong(tracked);
  const untracked = await git(context, ['ls-files', '-z', '--others', '--exclude-standard'], options);
  if (!untracked.ok) return tooLong(untracked);
  const { changes } = takeRawChanges(splitNul(tracked.stdout));
  const others = splitNul(untracked.stdout);
  const nested =
    changes.find((change) => change.newMode === GITLINK)?.path ?? others.find((path) => path.endsWith('/'));
  if (nested !== undefined) {
    return gitFailure('NESTED_REPOSITORY', `${decodePath(nested)} is a git repository of its own.`);
  }
  const removed = changes.filter((change) => change.status === 'D').map((change) => change.path);
  const present = changes.filter((change) => change.status !== 'D').map((change) => change.path);
  return { ok: true, removed, written: [...present, ...others] };
}

function tooLong(failed: GitFailure): GitFailure {
  if (failed.kind !== 'FILE_LIMIT') return failed;
  return gitFailure(
    'FILE_LIMIT',
    `The list of changed files exceeds ${MAX_LIST_BYTES} bytes; a commit may have ${MAX_CHANGED_FILES} files.`,
  );
}

/** Applies the limits, and leaves out what is neither a file nor a link. */
async function selectPaths(context: GitContext, lists: PathLists): Promise<PathLists | GitFailure> {
  const total = lists.removed.length + lists.written.length;
  if (total > MAX_CHANGED_FILES) {
    return gitFailure('FILE_LIMIT', `${total} files changed; a commit may have ${MAX_CHANGED_FILES}.`);
  }
  const folder = Buffer.from(`${context.workspace.paths.work}/`);
  const written: string[] = [];
  let bytes = 0;
  for (const path of lists.written) {
    const found = await lstat(Buffer.concat([folder, Buffer.from(path, 'latin1')])).catch(() => null);
    if (found === null || !(found.isFile() || found.isSymbolicLink())) continue;
    if (found.size > MAX_FILE_BYTES) {
      return gitFailure(
        'FILE_LIMIT',
        `${decodePath(path)} has ${found.size} bytes; a file may have ${MAX_FILE_BYTES}.`,
      );
    }
    bytes += found.size;
    written.push(path);
  }
  if (bytes > MAX_COMMIT_BYTES) {
    return gitFailure('FILE_LIMIT', `The changed files have ${bytes} bytes; a commit may have ${MAX_COMMIT_BYTES}.`);
  }
  return { ok: true, removed: lists.removed, written };
}
