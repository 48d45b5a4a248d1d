import { type GitContext, git } from './git.ts';
import type { GitFailure } from './git-failure.ts';

export const CHANGE_STATUSES = ['ADDED', 'MODIFIED', 'DELETED', 'RENAMED'] as const;

export interface FileChange {
  readonly path: string;
  readonly status: (typeof CHANGE_STATUSES)[number];
  /** Where a renamed file was before. */
  readonly previousPath: string | null;
  /** Lines; null for a binary file. */
  readonly additions: number | null;
  readonly deletions: number | null;
}

export interface Changes {
  /** In the order of their paths, the first `MAX_LISTED_CHANGES` of them. */
  readonly filesChanged: readonly FileChange[];
  readonly filesChangedTotal: number;
}

/** One line of git's raw diff. Paths are Latin-1 strings: one character is one byte, so that none is lost. */
export interface RawChange {
  readonly newMode: string;
  /** Object ids; all zeros where there is none. */
  readonly oldBlob: string;
  readonly newBlob: string;
  /** A, M, T, D, or R with the similarity. */
  readonly status: string;
  readonly path: string;
  readonly previousPath: string | null;
}

export const EMPTY_TREE = '4b825dc642cb6eb9a060e54bf8d69288fbee4904';
const MAX_LISTED_CHANGES = 5000;
/** Renames with changes are only looked for among this many files. */
const RENAME_LIMIT = 1000;

/** What differs between two commits or trees; `from` null is the empty tree. */
export async function readChanges(
  context: GitContext,
  { from, to }: { from: string | null; to: string },
): Promise<({ ok: true } & Changes) | GitFailure> {
  const flags = ['-r', '-z', '-M', `-l${RENAME_LIMIT}`, '--raw', '--numstat', '--no-ext-diff', '--no-textconv'];
  const diff = await git(context, ['diff-tree', ...flags, from ?? EMPTY_TREE, to]);
  if (!diff.ok) return diff;
  const fields = splitNul(diff.stdout);
  const raw = takeRawChanges(fields);
  const lines = takeLineCounts(fields.slice(raw.consumed));
  const filesChanged = raw.changes.slice(0, MAX_LISTED_CHANGES).map((change) => ({
    path: decodePath(change.path),
    status: statusOf(change),
    previousPath: change.previousPath === null ? null : decodePath(change.previousPath),
    ...(lines.get(change.path) ?? { additions: null, deletions: null }),
  }));
  return { ok: true, filesChanged, filesChangedTotal: raw.changes.length };
}

/** The fields of a `-z` output, as Latin-1. */
export function splitNul(output: Buffer): string[] {
  return output.toString('latin1').split('\0').slice(0, -1);
}

/** The `--raw -z` entries at the start of `fields`, and how many fields they take. */
export function takeRawChanges(fields: readonly string[]): { changes: RawChange[]; consumed: number } {
  const changes: RawChange[] = [];
  let at = 0;
  while (fields[at]?.startsWith(':')) {
    const [, newMode = '', oldBlob = '', newBlob = '', status = ''] = (fields[at] ?? '').split(' ');
    const renamed = status.startsWith('R');
    const first = fields[at + 1] ?? '';
    const path = renamed ? (fields[at + 2] ?? '') : first;
    changes.push({ newMode, oldBlob, newBlob, status, path, previousPath: renamed ? first : null });
    at += renamed ? 3 : 2;
  }
  return { changes, consumed: at };
}

/** For a person: bytes that are not UTF-8 are replaced. */
export function decodePath(latin1: string): string {
  return Buffer.from(latin1, 'latin1').toString('utf8');
}

type LineCounts = Pick<FileChange, 'additions' | 'deletions'>;

/** `--numstat -z`: `added TAB deleted TAB path`, or for a rename an empty path followed by the old and the new one. */
function takeLineCounts(fields: readonly string[]): Map<string, LineCounts> {
  const counts = new Map<string, LineCounts>();
  for (let at = 0; at < fields.length; at += 1) {
    const [added = '', deleted = '', ...rest] = (fields[at] ?? '').split('\t');
    let path = rest.join('\t');
    if (path === '') {
      path = fields[at + 2] ?? '';
      at += 2;
    }
    const binary = added === '-';
    counts.set(path, binary ? { additions: null, deletions: null } : { additions: +added, deletions: +deleted });
  }
  return counts;
}

function statusOf({ status }: RawChange): FileChange['status'] {
  if (status === 'A') return 'ADDED';
  if (status === 'D') return 'DELETED';
  return status.startsWith('R') ? 'RENAMED' : 'MODIFIED';
}
