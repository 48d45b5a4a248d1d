/** Phases 3 and 4: what changed is looked at, becomes one commit and is proved to be on the remote. No model has a say. */
import { setTimeout as delay } from 'node:timers/promises';
import type { FileChange } from '../git/changes.ts';
import type { Commit } from '../git/commit-changes.ts';
import { commitUrl } from '../git/commit-url.ts';
import type { SecretRules } from '../git/find-secrets.ts';
import type { GitFailure } from '../git/git-failure.ts';
import { failpoint } from '../std/failpoint.ts';
import { toPublicId } from '../std/public-id.ts';
import { type BuildFailure, type BuildResult, type FailureReason, failure } from './build-result.ts';
import type { IntendedCommit } from './checkpoint.ts';
import { keepFile } from './collect-artifacts.ts';
import { commitSubject } from './commit-subject.ts';
import { MAX_PACK_BYTES } from './intended-commit.ts';
import { BuildFailedError, Interrupt, type RunningBuild } from './running-build.ts';

/** Pushes of one commit when the remote does not answer, or of one change when its branch keeps moving. */
const MAX_PUSHES = 10;
/** A remote that is well again is not kept waiting for much longer than this. */
const MAX_PAUSE_MS = 10_000;
const AUTHOR = { name: 'Slipway', email: 'slipway@localhost' };

export interface Published {
  readonly result: Partial<BuildResult>;
  readonly failure: BuildFailure | null;
}

export async function publishChanges(running: RunningBuild): Promise<Published> {
  const { build, checkout, ledger } = running;
  const { baseSha } = ledger;
  if (await checkout.agentMovedHead(baseSha)) {
    const message =
      'The agent committed or switched branches in its own repository. Slipway commits what is in the files.';
    await ledger.write({ events: [{ type: 'WARNING', data: { message } }] });
  }
  if (!build.spec.autoCommit) {
    const changes = await checkout.readWorkTreeChanges({ baseSha });
    if (!changes.ok) return refused(running, changes);
    const publication = changes.filesChangedTotal > 0 ? 'NONE' : 'NO_CHANGES';
    return { result: { publication, filesChanged: changes.filesChanged }, failure: null };
  }
  const commit = await commitAll(running, baseSha);
  if (!commit.ok) return refused(running, commit);
  if (!commit.changed) {
    const message = 'The agent finished and nothing in the repository has changed.';
    return { result: { publication: 'NO_CHANGES' }, failure: failure('NO_CHANGES', 'VERIFYING', message) };
  }
  await failpoint('publish.committed');
  const { sha, filesChanged, filesChangedTotal } = commit;
  const clean = await checkout.findSecrets({ from: baseSha, to: sha, rules: secretRules(running) });
  if (!clean.ok) return refused(running, clean);
  await ledger.write({
    phase: 'PUBLISHING',
    events: [{ type: 'GIT_COMMITTED', data: { sha, message: subjectOf(running), filesChanged: filesChangedTotal } }],
  });
  if (!build.spec.autoPush) return keepCommit(running, { sha, baseSha, filesChanged });
  const expected = ledger.checkpoint.branchSha ?? null;
  return push(running, { sha, branch: build.spec.branch, expected, filesChanged }, 'push');
}

/** After a crash between intent and end: did the commit arrive? If not, it is pushed again; the agent is not run again. */
export async function confirmPush(running: RunningBuild): Promise<Partial<BuildResult>> {
  const { commit, pushProved } = running.build.checkpoint;
  if (!commit) throw new Error('a push was intended and its commit is not known');
  // What became of it since is not ours to mend: a branch may be merged and deleted by now.
  if (pushProved) return pushedResult(running, commit);
  const published = await push(running, commit, 'ask');
  if (published.failure) throw new BuildFailedError(published.failure);
  return published.result;
}

function commitAll(running: RunningBuild, baseSha: string | null): Promise<Commit | GitFailure> {
  const { build, checkout } = running;
  return checkout.commitChanges({
    baseSha,
    message: `${subjectOf(running)}\n\nBuild ${build.number} by ${build.spec.provider}.`,
    trailers: { 'Slipway-Build': toPublicId('build', build.id), 'Slipway-Attempt': String(build.attemptNo) },
    date: build.createdAt,
    author: AUTHOR,
  });
}

function subjectOf({ build, redact }: RunningBuild): string {
  return redact(commitSubject(build.spec.prompt));
}

/** What the project says never counts for the build's own secrets. */
function secretRules({ credentials, project }: RunningBuild): SecretRules {
  const { enabled, allowPaths } = project.settings.secretScan ?? {};
  return { registered: credentials.all, enabled: enabled ?? true, allowPaths: allowPaths ?? [] };
}

async function keepCommit(
  running: RunningBuild,
  { sha, baseSha, filesChanged }: { sha: string; baseSha: string | null; filesChanged: readonly FileChange[] },
): Promise<Published> {
  const bundle = await running.checkout.bundleCommit({ sha, baseSha });
  if (!bundle.ok) return refused(running, bundle);
  const artifact = await keepFile(running, {
    name: 'slipway.bundle',
    path: bundle.path,
    contentType: 'application/x-git-bundle',
  });
  return { result: { publication: 'COMMITTED', commitSha: sha, filesChanged, artifacts: [artifact] }, failure: null };
}

/**
 * Intent, push, proof; on a branch that moved the commit is put on top of it and pushed as a new intent. The answer of
 * a push is never trusted alone: the remote is asked whether the commit is there, first of all when an earlier attempt
 * may have pushed it.
 */
async function push(running: RunningBuild, first: IntendedCommit, begin: 'push' | 'ask'): Promise<Published> {
  const { checkout, ledger, signal } = running;
  let commit = first;
  let next = begin;
  let refusal: GitFailure | null = null;
  let packed: string | null = null;
  for (let tries = 1; tries <= MAX_PUSHES; tries += 1) {
    let pushed: Awaited<ReturnType<typeof checkout.pushCommit>> = { ok: true };
    if (next === 'push') {
      const pack = packed === commit.sha ? null : await packForOthers(running, commit);
      if (!(await ledger.recordPushIntent(commit, pack))) throw new Interrupt('cancelled');
      packed = commit.sha;
      await failpoint('publish.intended');
      // After a pause somebody else may have told the end of the build.
      if (!running.holdsLeases()) throw new Interrupt('cut_off');
      pushed = await checkout.pushCommit(commit);
      await failpoint('publish.pushed');
    }
    const there = await checkout.isOnRemote(commit);
    if (there.ok && there.answer) return proved(running, commit);
    const here = there.ok && begin === 'ask' ? await bringBack(running, commit) : there;
    if (here === 'lost') return lost(running, commit);
    next = here.ok ? 'push' : 'ask';
    refusal = here.ok ? (pushed.ok ? null : pushed) : here;
    if (refusal?.kind === 'STALE') {
      const rebased = await checkout.rebaseCommit({ sha: commit.sha, onto: commit.branch });
      if (rebased.ok) commit = { ...commit, sha: rebased.sha, expected: rebased.baseSha };
      else if (!isTransient(rebased)) return refused(running, rebased);
    } else if (refusal && !isTransient(refusal)) {
      return refused(running, refusal);
    }
    await delay(tries === 1 && begin === 'ask' ? 0 : pauseMs(tries, refusal), undefined, { signal });
  }
  const message = refusal?.message ?? 'The remote accepted the push and does not have the commit.';
  return { result: {}, failure: failure('GIT_PUSH_FAILED', 'PUBLISHING', message) };
}

/** Null when it is too large: then only this machine can push it. */
async function packForOthers({ checkout, signal }: RunningBuild, { sha }: IntendedCommit): Promise<Buffer | null> {
  const packed = await checkout.packCommit({ sha, maxBytes: MAX_PACK_BYTES });
  signal.throwIfAborted();
  return packed.ok ? packed.pack : null;
}

/** The commit is here, or is put here from what was kept of it. */
async function bringBack(
  { checkout, ledger, project }: RunningBuild,
  commit: IntendedCommit,
): Promise<{ ok: true } | GitFailure | 'lost'> {
  if (await checkout.isInWorkspace(commit)) return { ok: true };
  const pack = await ledger.ask('pack', { sha: commit.sha });
  if (!pack) return 'lost';
  const { sha, branch } = commit;
  const unpacked = await checkout.unpackCommit({ sha, pack, branches: [branch, project.defaultBranch] });
  return unpacked.ok || isTransient(unpacked) ? unpacked : 'lost';
}

/** The worker that made the commit died on another machine, or its workspace is gone. */
function lost({ signal }: RunningBuild, { sha }: IntendedCommit): Published {
  signal.throwIfAborted();
  const message = `The commit ${sha} had not arrived on the remote when its worker was lost, and only that machine has it.`;
  return { result: {}, failure: failure('GIT_PUSH_FAILED', 'PUBLISHING', message) };
}

/** A branch that moved can be pushed to at once, but not by all at the same moment who wait for it. */
function pauseMs(tries: number, refusal: GitFailure | null): number {
  if (refusal?.kind === 'STALE') return Math.random() * 250 * tries;
  return Math.min(MAX_PAUSE_MS, 250 * 4 ** (tries - 1));
}

async function proved(running: RunningBuild, commit: IntendedCommit): Promise<Published> {
  const { sha, branch } = commit;
  await failpoint('publish.proved');
  await running.ledger.write({
    pushedSha: sha,
    checkpoint: { pushProved: true },
    events: [{ type: 'GIT_PUSHED', data: { sha, ref: `refs/heads/${branch}` } }],
  });
  await failpoint('publish.recorded');
  return { result: pushedResult(running, commit), failure: null };
}

function pushedResult({ remote }: RunningBuild, { sha, branch, filesChanged }: IntendedCommit): Partial<BuildResult> {
  const url = commitUrl(remote.url, sha);
  return { publication: 'PUSHED', commitSha: sha, commitUrl: url, branch, filesChanged };
}

function isTransient({ kind }: GitFailure): boolean {
  return kind === 'UNREACHABLE' || kind === 'TIMEOUT' || kind === 'STALE' || kind === 'ABORTED';
}

const REASONS: Partial<Record<GitFailure['kind'], FailureReason>> = {
  CONFLICT: 'GIT_CONFLICT',
  NESTED_REPOSITORY: 'NESTED_REPOSITORY',
  FILE_LIMIT: 'FILE_LIMIT',
  SECRET_DETECTED: 'SECRET_DETECTED',
  REJECTED: 'GIT_PUSH_REJECTED',
  AUTH: 'GIT_PUSH_REJECTED',
};

function refused({ signal, ledger }: RunningBuild, { kind, message }: GitFailure): Published {
  signal.throwIfAborted();
  return { result: {}, failure: failure(REASONS[kind] ?? 'GIT_PUSH_FAILED', ledger.phase, message) };
}
