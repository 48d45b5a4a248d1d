/**
 * A build comes into being in the caller's transaction, with the end of the builds whose place it takes, or with its own. What
 * concerns no other build is accepted together with others: see `acceptor.ts`.
 */
import type { DatabaseTransaction } from '../database/database.ts';
import { ProjectNotReadyError } from '../errors.ts';
import type { Topic } from '../events/topics.ts';
import { failpoint } from '../std/failpoint.ts';
import { toPublicId } from '../std/public-id.ts';
import { type Build, findBuild } from './build.ts';
import { type NewBuild, toBuildRow, writeBuilds } from './new-build.ts';
import { type Cancelled, NOTHING_CANCELLED, requestCancel } from './request-cancel.ts';
import { findInTheWay, findSuperseded, lockSuperseded, type Newcomer } from './supersede-builds.ts';

export interface AcceptedBuild {
  readonly build: Build;
  /** To announce after the commit, besides that there is a build. */
  readonly topics: readonly Topic[];
  /** Builds that have ended, the new one among them if another one was in its way: `reportEnd` after the commit. */
  readonly ended: readonly string[];
}

/** The project already has a build with this idempotency key: the transaction must be rolled back. */
export class KeyTaken extends Error {
  override readonly name = 'KeyTaken';
}

/** Since its spec was completed from it. */
export class ProjectChanged extends Error {
  override readonly name = 'ProjectChanged';
}

export function projectNotActive(): ProjectNotReadyError {
  return new ProjectNotReadyError('The project is not active, so it takes no builds.');
}

/** Throws KeyTaken, ProjectChanged or ProjectNotReadyError. */
export async function acceptBuild(trx: DatabaseTransaction, build: NewBuild): Promise<AcceptedBuild> {
  const { projectId, spec, scheduled } = build;
  const newcomer: Newcomer = {
    projectId,
    spec,
    replacesSchedule: scheduled?.cancelRunning ? scheduled.scheduleId : null,
  };
  await lockSuperseded(trx, newcomer);
  const [acceptance] = await writeBuilds(trx, [toBuildRow(build)], { waits: true });
  if (acceptance?.outcome === 'KEY_TAKEN') throw new KeyTaken();
  if (acceptance?.outcome === 'CHANGED') throw new ProjectChanged();
  if (acceptance?.outcome !== 'ACCEPTED') throw projectNotActive();
  const accepted = acceptance.build;
  const { id } = accepted;
  const superseded = await findSuperseded(trx, newcomer, id);
  const inTheWay = await findInTheWay(trx, newcomer, id);
  const request = { actor: build.actor, action: 'supersedeBuild' };
  const ends: Cancelled[] = [];
  for (const earlier of superseded) {
    const reason = `Build #${accepted.number} (${toPublicId('build', id)}) took its place.`;
    ends.push(await requestCancel(trx, { ...request, build: earlier, reason, supersededBy: id }));
  }
  if (inTheWay) {
    const reason = `Build #${inTheWay.number} (${toPublicId('build', inTheWay.id)}) was waiting or running already.`;
    ends.push(await requestCancel(trx, { ...request, build: accepted, reason, supersededBy: inTheWay.id }));
  }
  await failpoint('accept.written');
  const cancelled = ends.reduce(
    (all, { topics, ended }) => ({ topics: [...all.topics, ...topics], ended: [...all.ended, ...ended] }),
    NOTHING_CANCELLED,
  );
  return { build: inTheWay ? ((await findBuild(trx, id)) ?? accepted) : accepted, ...cancelled };
}
