/** Looks for secrets in what a commit adds. What stood in a file before is not the commit's doing. */
import { globMatches } from '../std/glob.ts';
import { decodePath, EMPTY_TREE, type RawChange, splitNul, takeRawChanges } from './changes.ts';
import { type GitContext, git } from './git.ts';
import { type GitFailure, gitFailure } from './git-failure.ts';
import { readBlobs } from './read-blobs.ts';
import { SecretSearch } from './secret-search.ts';
import type { SecretFinding } from './secret-thread.ts';

export interface SecretRules {
  /** The build's own secrets, at least 8 characters each: they are looked for in every file. */
  readonly registered: readonly string[];
  /** False: nothing but the registered ones is looked for. */
  readonly enabled: boolean;
  /** Globs of files that may hold what looks like a secret. */
  readonly allowPaths: readonly string[];
  /** Milliseconds; default 10 s. */
  readonly fileTimeoutMs?: number;
}

/** Of all files together; a commit may have 1 GiB. */
const MAX_SEARCH_MS = 5 * 60_000;
/** Those that stood there before included. */
const MAX_FINDINGS = 1_000;
const MAX_NAMED = 5;
const GITLINK = '160000';
/** Renames with changes are only looked for among this many files. */
const RENAME_LIMIT = 1000;

interface Search {
  readonly context: GitContext;
  readonly thread: SecretSearch;
  readonly rules: SecretRules;
  readonly endsAt: number;
}

/**
 * Answers SECRET_DETECTED with file, line and rule of up to five findings, never with the secret. Of each file the first
 * 8 MiB are searched, of binary files for registered secrets only. What cannot be searched in time, or comes after a
 * thousand findings, counts as found: who can make the search slow or long must not get past it. Throws only when `context.signal` aborts.
 */
export async function findSecrets(
  context: GitContext,
  { from, to, rules }: { from: string | null; to: string; rules: SecretRules },
): Promise<{ ok: true } | GitFailure> {
  const flags = ['-r', '-z', '-M', `-l${RENAME_LIMIT}`, '--raw', '--no-ext-diff', '--no-textconv'];
  const diff = await git(context, ['diff-tree', ...flags, from ?? EMPTY_TREE, to]);
  if (!diff.ok) return diff;
  const added = takeRawChanges(splitNul(diff.stdout)).changes.filter(
    ({ newMode, status, newBlob, oldBlob }) => status !== 'D' && newMode !== GITLINK && newBlob !== oldBlob,
  );
  const { registered, fileTimeoutMs } = rules;
  await using thread = new SecretSearch({ registered, signal: context.signal, fileTimeoutMs });
  const search: Search = { context, thread, rules, endsAt: performance.now() + MAX_SEARCH_MS };
  const found = await searchBlobs(search, added, 'newBlob');
  if (!found.ok) return found;
  const suspects = added.filter((change) => found.byPath.has(change.path) && !isNull(change.oldBlob));
  const before = await searchBlobs(search, suspects, 'oldBlob');
  if (!before.ok) return before;
  const findings = [...found.byPath].flatMap(([path, now]) => {
    const known = new Set(before.byPath.get(path)?.map(({ fingerprint }) => fingerprint));
    return now.filter(({ fingerprint }) => fingerprint === null || !known.has(fingerprint));
  });
  return findings.length === 0 ? { ok: true } : gitFailure('SECRET_DETECTED', describe(findings));
}

interface Found {
  readonly ok: true;
  /** By the Latin-1 path. */
  readonly byPath: ReadonlyMap<string, readonly SecretFinding[]>;
}

async function searchBlobs(
  { context, thread, rules, endsAt }: Search,
  changes: readonly RawChange[],
  side: 'newBlob' | 'oldBlob',
): Promise<Found | GitFailure> {
  const byPath = new Map<string, readonly SecretFinding[]>();
  const wanted = changes.map((change) => ({ path: change.path, blob: change[side] }));
  let total = 0;
  for await (const read of readBlobs(context, wanted)) {
    if (!read.ok) return read;
    const path = decodePath(read.path);
    const allowed = rules.allowPaths.length > 0 && globMatches(rules.allowPaths, path);
    const file = { path, bytes: read.bytes, rules: rules.enabled && !allowed };
    const findings = performance.now() < endsAt ? await thread.search(file) : null;
    const counted = findings ?? [unsearched(path, 'NOT_SEARCHED_IN_TIME')];
    total += counted.length;
    const isLast = total >= MAX_FINDINGS;
    // Whoever touches many that are known must not get a new one past the end of the search.
    if (counted.length > 0)
      byPath.set(read.path, isLast ? [...counted, unsearched(path, 'TOO_MANY_FINDINGS')] : counted);
    if (isLast) break;
  }
  return { ok: true, byPath };
}

function unsearched(path: string, rule: string): SecretFinding {
  return { path, line: null, rule, fingerprint: null };
}

function isNull(blob: string): boolean {
  return /^0+$/.test(blob);
}

function describe(findings: readonly SecretFinding[]): string {
  const named = findings
    .slice(0, MAX_NAMED)
    .map(({ path, line, rule }) => `${path.replaceAll(/\p{Cc}+/gu, ' ')}${line === null ? '' : `:${line}`} (${rule})`);
  const more = findings.length > MAX_NAMED ? ` and ${findings.length - MAX_NAMED} more` : '';
  return `The changes hold what looks like a secret, so nothing was committed: ${named.join(', ')}${more}.`;
}
