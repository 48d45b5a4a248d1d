/** Accept one build of a project: durable and in the queue when this resolves, and written once per idempotency key. */
import type { Keyring } from '../credentials/keyring.ts';
import type { Database } from '../database/database.ts';
import { inTransaction } from '../database/transaction.ts';
import { IdempotencyConflictError, InvalidInputError, NotFoundError } from '../errors.ts';
import type { EventHub } from '../events/event-hub.ts';
import { projectTopic, QUEUE_TOPIC } from '../events/topics.ts';
import { findProject } from '../projects/project.ts';
import type { Queue } from '../queue/queue.ts';
import { failpoint } from '../std/failpoint.ts';
import { toPublicId } from '../std/public-id.ts';
import { acceptBuild, KeyTaken, type NewBuild } from './accept-build.ts';
import { refuseOverBudget } from './budget.ts';
import { type Build, findBuildByIdempotencyKey } from './build.ts';
import type { BuildSpecInput } from './build-spec.ts';
import { type DiskConfig, refuseOnFullDisk } from './full-disk.ts';
import { hashInput } from './input-hash.ts';
import { refuseUnreachable } from './refuse-unreachable.ts';
import { type ReportDeps, reportEnd } from './report-end.ts';
import { type FollowUpDeps, resolveFollowUp } from './resolve-follow-up.ts';
import { resolveSpec } from './resolve-spec.ts';

export interface StartBuildDeps extends FollowUpDeps, ReportDeps {
  readonly config: FollowUpDeps['config'] & DiskConfig;
  readonly queue: Queue;
  readonly hub: EventHub;
  readonly keyring: Pick<Keyring, 'callbackRoot'>;
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

/**
 * Throws InvalidInputError, NotFoundError, BuildStateError (of the build to go on from), ProjectNotReadyError,
 * IdempotencyConflictError, BudgetExceededError or DiskFullError; nothing is written then.
 */
export async function startBuild(deps: StartBuildDeps, input: StartBuildInput, actor: string): Promise<StartedBuild> {
  const idempotencyKey = checkIdempotencyKey(input.idempotencyKey);
  const project = await findProject(deps.db, input.projectId);
  if (!project) throw new NotFoundError('project', toPublicId('project', input.projectId));
  const { resumeFrom } = input;
  const spec = resumeFrom
    ? await resolveFollowUp(deps, project, { resumeFrom, spec: input.spec, path: ['input'] })
    : resolveSpec(deps, project, input.spec, ['input', 'spec']);
  return acceptOnce(deps, {
    projectId: project.id,
    spec,
    source: 'API',
    retryOf: null,
    idempotencyKey,
    inputHash:
      idempotencyKey === null ? null : hashInput(deps, resumeFrom ? { spec: input.spec, resumeFrom } : input.spec),
    actor,
    action: 'startBuild',
    check: () => refuseUnreachable(deps.config, project, ['input', 'projectId']),
  });
}

/**
 * `acceptBuild` in a transaction of its own, or the build that already has the key, whatever has changed since: `check` throws
 * what stands in the way of a new one.
 */
export async function acceptOnce(
  deps: Pick<StartBuildDeps, 'db' | 'queue' | 'hub' | 'telemetry'> & { readonly config: DiskConfig },
  { check, ...wanted }: NewBuild & { readonly check: () => void },
): Promise<StartedBuild> {
  const earlier = await findSame(deps.db, wanted);
  if (earlier) return earlier;
  check();
  await refuseOnFullDisk(deps.config);
  await refuseOverBudget(deps.db, wanted.projectId);
  await failpoint('accept.begin');
  try {
    const { build, topics, ended } = await inTransaction(deps.db, (trx) => acceptBuild(trx, deps.queue, wanted));
    await failpoint('accept.committed');
    deps.hub.announce(QUEUE_TOPIC, projectTopic(wanted.projectId), ...topics);
    for (const id of ended) await reportEnd(deps, id);
    return { build, deduplicated: false };
  } catch (error) {
    // Another request with this key was faster; its commit is what refused ours, so it can be read now.
    const winner = error instanceof KeyTaken ? await findSame(deps.db, wanted) : null;
    if (!winner) throw error;
    return winner;
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
