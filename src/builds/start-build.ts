/** Accept one build of a project: durable and in the queue when this resolves, and written once per idempotency key. */
import type { Keyring } from '../credentials/keyring.ts';
import type { Database } from '../database/database.ts';
import { inTransaction } from '../database/transaction.ts';
import {
  IdempotencyConflictError,
  InvalidInputError,
  NotFoundError,
  OverloadedError,
  SlipwayError,
} from '../errors.ts';
import type { EventHub } from '../events/event-hub.ts';
import { BUILDS_TOPIC, projectTopic } from '../events/topics.ts';
import type { Project } from '../projects/project.ts';
import type { ProjectCache } from '../projects/project-cache.ts';
import type { Queue } from '../queue/queue.ts';
import { failpoint } from '../std/failpoint.ts';
import { toPublicId } from '../std/public-id.ts';
import { acceptBuild, KeyTaken, ProjectChanged, projectNotActive } from './accept-build.ts';
import type { Acceptor } from './acceptor.ts';
import { hasDayBudget } from './budget.ts';
import { type Build, findBuildByIdempotencyKey } from './build.ts';
import type { BuildSpecInput } from './build-spec.ts';
import type { DiskConfig } from './full-disk.ts';
import { hashInput } from './input-hash.ts';
import { type BuildRow, type NewBuild, toBuildRow } from './new-build.ts';
import { refuseUnreachable } from './refuse-unreachable.ts';
import { type ReportDeps, reportEnd } from './report-end.ts';
import { type FollowUpDeps, resolveFollowUp } from './resolve-follow-up.ts';
import { resolveSpec } from './resolve-spec.ts';
import { meetsOthers } from './supersede-builds.ts';

export interface StartBuildDeps extends FollowUpDeps, ReportDeps {
  readonly config: FollowUpDeps['config'] & DiskConfig;
  readonly queue: Queue;
  readonly hub: EventHub;
  readonly keyring: Pick<Keyring, 'callbackRoot'>;
  readonly projects: ProjectCache;
  readonly acceptor: Acceptor;
}

export interface StartBuildInput {
  readonly projectId: string;
  readonly spec: BuildSpecInput;
  /** Go on with the agent's session of this build. */
  readonly resumeFrom?: string | null | undefined;
  readonly idempotencyKey?: string | null | undefined;
}

export interface StartedBuild {
  readonly build: Build;
  /** The build was there before: same key, same input. */
  readonly deduplicated: boolean;
}

/** Times that a project may change while a build of it is accepted. */
const MAX_TRIES = 10;

/**
 * Throws InvalidInputError, NotFoundError, BuildStateError (of the build to go on from), ProjectNotReadyError,
 * IdempotencyConflictError, BudgetExceededError, DiskFullError or OverloadedError; nothing is written then.
 */
export async function startBuild(deps: StartBuildDeps, input: StartBuildInput, actor: string): Promise<StartedBuild> {
  const idempotencyKey = checkIdempotencyKey(input.idempotencyKey);
  const { resumeFrom } = input;
  const inputHash =
    idempotencyKey === null ? null : hashInput(deps, resumeFrom ? { spec: input.spec, resumeFrom } : input.spec);
  let read = await deps.projects.find(input.projectId);
  for (let tries = 1; ; tries += 1) {
    if (!read) throw new NotFoundError('project', toPublicId('project', input.projectId));
    const { project, isFresh } = read;
    try {
      return await acceptOnce(deps, {
        project: { ...project, projectVersion: project.version },
        spec: resumeFrom
          ? await resolveFollowUp(deps, project, { resumeFrom, spec: input.spec, path: ['input'] })
          : resolveSpec(deps, project, input.spec, ['input', 'spec']),
        source: 'API',
        retryOf: null,
        idempotencyKey,
        inputHash,
        actor,
        action: 'startBuild',
        check: () => refuseUnreachable(deps.config, project, ['input', 'projectId']),
      });
    } catch (error) {
      // What the project was earlier refuses nothing.
      const mayPass = error instanceof SlipwayError && !isFresh && !(error instanceof OverloadedError);
      if (!(error instanceof ProjectChanged || mayPass)) throw error;
      read = await deps.projects.read(project.id);
      const isSame = read?.project.version === project.version;
      if (error instanceof ProjectChanged ? tries === MAX_TRIES : isSame) throw error;
    }
  }
}

export interface WantedBuild extends Omit<NewBuild, 'projectId' | 'projectVersion'> {
  readonly project: Pick<Project, 'id' | 'settings'> & Pick<NewBuild, 'projectVersion'>;
  /** Throws what stands in the way of a new build. */
  readonly check: () => void;
}

export type AcceptDeps = Pick<StartBuildDeps, 'db' | 'queue' | 'hub' | 'telemetry' | 'acceptor'> & {
  readonly config: DiskConfig;
};

/** A new build, or the one that already has the key, whatever has changed since. */
export async function acceptOnce(deps: AcceptDeps, { check, project, ...wanted }: WantedBuild): Promise<StartedBuild> {
  const build = { ...wanted, projectId: project.id, projectVersion: project.projectVersion };
  try {
    check();
    await deps.acceptor.refuseOnFullDisk();
    if (hasDayBudget(project.settings)) await deps.acceptor.refuseOverBudget(project.id);
  } catch (error) {
    const earlier = await findSame(deps.db, build);
    if (earlier) return earlier;
    throw error;
  }
  await failpoint('accept.begin');
  const row = toBuildRow(build);
  for (let tries = 1; ; tries += 1) {
    const accepted = await accept(deps, row);
    if (accepted !== 'KEY_TAKEN') return { build: accepted, deduplicated: false };
    // Another request with this key was faster; its commit is what refused ours, so it can be read now. Unless both were
    // written together, and the other one was refused.
    const winner = await findSame(deps.db, build);
    if (winner) return winner;
    if (tries === MAX_TRIES) throw new Error('a build with this key exists, and is not found');
  }
}

/** One that concerns no other build together with those of other callers, any other one in a transaction of its own. */
async function accept(deps: AcceptDeps, row: BuildRow): Promise<Build | 'KEY_TAKEN'> {
  const { build } = row;
  if (build.retryOf !== null || meetsOthers({ ...build, replacesSchedule: null })) return acceptAlone(deps, build);
  const acceptance = await deps.acceptor.accept(row);
  if (acceptance.outcome === 'ACCEPTED') return acceptance.build;
  if (acceptance.outcome === 'CHANGED') throw new ProjectChanged();
  if (acceptance.outcome === 'NOT_ACTIVE') throw projectNotActive();
  return acceptance.outcome;
}

async function acceptAlone(deps: AcceptDeps, wanted: NewBuild): Promise<Build | 'KEY_TAKEN'> {
  // A repeated request need not wait for the builds that it would end.
  if (await findSame(deps.db, wanted)) return 'KEY_TAKEN';
  try {
    const { build, topics, ended } = await inTransaction(deps.db, (trx) => acceptBuild(trx, wanted));
    await failpoint('accept.committed');
    deps.hub.announce(BUILDS_TOPIC, projectTopic(wanted.projectId), ...topics);
    for (const id of ended) await reportEnd(deps, id);
    return build;
  } catch (error) {
    if (error instanceof KeyTaken) return 'KEY_TAKEN';
    throw error;
  }
}

async function findSame(db: Database, wanted: NewBuild): Promise<StartedBuild | null> {
  if (wanted.idempotencyKey === null) return null;
  const { projectId, idempotencyKey } = wanted;
  const existing = await findBuildByIdempotencyKey(db, { projectId, idempotencyKey });
  if (!existing) return null;
  if (!wanted.inputHash?.matches(existing.inputHash)) throw new IdempotencyConflictError(existing.id);
  return { build: existing, deduplicated: true };
}

/** At most 255 printable ASCII characters, or null when there is none. */
export function checkIdempotencyKey(key: string | null | undefined): string | null {
  if (key === null || key === undefined) return null;
  if (!/^[\x21-\x7e]{1,255}$/.test(key)) {
    throw new InvalidInputError([
      { path: ['input', 'idempotencyKey'], message: 'must be 1 to 255 printable ASCII characters without spaces' },
    ]);
  }
  return key;
}
