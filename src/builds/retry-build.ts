/** Start a finished build again, as a new build with the same spec. */
import type { Config } from '../config/config.ts';
import { BuildStateError, InvalidInputError, NotFoundError } from '../errors.ts';
import { networkLimit } from '../projects/pod-limits.ts';
import { findProject } from '../projects/project.ts';
import { ALL_OF_THE_NETWORK } from '../std/network-access.ts';
import { toPublicId } from '../std/public-id.ts';
import { findBuild, isFinished } from './build.ts';
import type { DiskConfig } from './full-disk.ts';
import { hashInput } from './input-hash.ts';
import { refuseUnreachable } from './refuse-unreachable.ts';
import { acceptOnce, checkIdempotencyKey, type StartBuildDeps, type StartedBuild } from './start-build.ts';

export interface RetryBuildInput {
  readonly id: string;
  /** Go on with the agent's session instead of beginning anew. */
  readonly resumeSession?: boolean | null | undefined;
  readonly idempotencyKey?: string | null | undefined;
}

/** Throws NotFoundError, InvalidInputError, ProjectNotReadyError, BudgetExceededError, or BuildStateError while the build is not finished. */
export async function retryBuild(
  deps: Pick<StartBuildDeps, 'db' | 'queue' | 'hub' | 'keyring'> & {
    readonly config: DiskConfig & Pick<Config, 'runtime'>;
  },
  input: RetryBuildInput,
  actor: string,
): Promise<StartedBuild> {
  const idempotencyKey = checkIdempotencyKey(input.idempotencyKey);
  const build = await findBuild(deps.db, input.id);
  if (!build) throw new NotFoundError('build', toPublicId('build', input.id));
  if (!isFinished(build.status)) {
    throw new BuildStateError(
      build.status,
      `The build is still ${build.status}: cancel it first, or wait for its end.`,
    );
  }
  const resumeSession = input.resumeSession ?? false;
  if (resumeSession && !build.result?.sessionId) {
    throw new BuildStateError(build.status, 'The build has no session to resume: retry it without resumeSession.');
  }
  const project = await findProject(deps.db, build.projectId);
  if (project) refuseUnreachable(deps.config, project, ['input', 'id']);
  const message = networkLimit(deps.config, build.spec.network ?? ALL_OF_THE_NETWORK);
  if (message) throw new InvalidInputError([{ path: ['input', 'id'], message }], 'NETWORK_UNSUPPORTED');
  return acceptOnce(deps, {
    projectId: build.projectId,
    spec: { ...build.spec, runAfter: null, resumeSessionOf: resumeSession ? build.id : null },
    source: 'RETRY',
    retryOf: build.id,
    idempotencyKey,
    inputHash: idempotencyKey === null ? null : hashInput(deps, { retryOf: build.id, resumeSession }),
    actor,
    action: 'retryBuild',
  });
}
