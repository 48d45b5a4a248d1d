/** Start a finished build again, as a new build with the same spec. */
import { BuildStateError, InvalidInputError, NotFoundError } from '../errors.ts';
import { findProject } from '../projects/project.ts';
import type { WorkspaceRules } from '../projects/workspace-needs.ts';
import { toPublicId } from '../std/public-id.ts';
import { sharedCode } from '../std/shared-code.ts';
import { findBuild, isFinished } from './build.ts';
import type { DiskConfig } from './full-disk.ts';
import { hashInput } from './input-hash.ts';
import { refuseUnreachable } from './refuse-unreachable.ts';
import { runtimeLimits } from './runtime-limits.ts';
import { acceptOnce, checkIdempotencyKey, type StartBuildDeps, type StartedBuild } from './start-build.ts';

export interface RetryBuildInput {
  readonly id: string;
  /** Go on with the agent's session instead of beginning anew. */
  readonly resumeSession?: boolean | null | undefined;
  readonly idempotencyKey?: string | null | undefined;
  /** The mutation's name, for the audit log; by default `retryBuild`. */
  readonly action?: 'retryBuild' | 'retryBuilds';
}

/** Throws NotFoundError, InvalidInputError, ProjectNotReadyError, BudgetExceededError, or BuildStateError while the build is not finished. */
export async function retryBuild(
  deps: Pick<StartBuildDeps, 'db' | 'queue' | 'hub' | 'keyring' | 'templates' | 'telemetry' | 'acceptor'> & {
    readonly config: DiskConfig & WorkspaceRules;
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
  if (!project) throw new NotFoundError('project', toPublicId('project', build.projectId));
  return acceptOnce(deps, {
    project: { ...project, projectVersion: null },
    spec: { ...build.spec, runAfter: null, resumeSessionOf: resumeSession ? build.id : null },
    source: 'RETRY',
    retryOf: build.id,
    idempotencyKey,
    inputHash: idempotencyKey === null ? null : hashInput(deps, { retryOf: build.id, resumeSession }),
    actor,
    action: input.action ?? 'retryBuild',
    check() {
      const path = ['input', 'id'];
      refuseUnreachable(deps.config, project, path);
      const limits = runtimeLimits(deps, project, build.spec);
      const issues = limits.map(({ message }) => ({ path, message }));
      if (issues.length > 0) throw new InvalidInputError(issues, sharedCode(limits.map(({ code }) => code)));
    },
  });
}
