/** A project and its first build in one transaction: both or neither, and once per idempotency key. */
import type { Database } from '../database/database.ts';
import { inTransaction } from '../database/transaction.ts';
import { ConflictError, IdempotencyConflictError } from '../errors.ts';
import { BUILDS_TOPIC, projectTopic } from '../events/topics.ts';
import { checkProject, insertProject, type ProjectDeps, type ProjectInput } from '../projects/create-project.ts';
import { type Project, toProject } from '../projects/project.ts';
import { failpoint } from '../std/failpoint.ts';
import { acceptBuild } from './accept-build.ts';
import { findBuildByIdempotencyKey } from './build.ts';
import type { BuildSpecInput } from './build-spec.ts';
import { refuseOnFullDisk } from './full-disk.ts';
import { hashInput, type InputHash } from './input-hash.ts';
import { resolveSpec } from './resolve-spec.ts';
import { checkIdempotencyKey, type StartBuildDeps, type StartedBuild } from './start-build.ts';

export interface CreateAndBuildInput {
  readonly project: ProjectInput;
  readonly spec: BuildSpecInput;
  readonly idempotencyKey?: string | null | undefined;
}

export interface CreatedBuild extends StartedBuild {
  readonly project: Project;
}

/** Throws InvalidInputError, ConflictError (the slug is taken) or IdempotencyConflictError; nothing is written then. */
export async function createAndBuild(
  deps: StartBuildDeps & ProjectDeps,
  input: CreateAndBuildInput,
  actor: string,
): Promise<CreatedBuild> {
  const key = checkIdempotencyKey(input.idempotencyKey);
  const checked = checkProject(deps, input.project, ['input', 'project']);
  const spec = resolveSpec(
    deps,
    {
      defaultBranch: checked.defaultBranch ?? 'main',
      template: checked.template ?? null,
      settings: checked.settings ?? {},
    },
    input.spec,
    ['input', 'spec'],
  );
  const hash = hashInput(deps, { project: input.project, spec: input.spec });
  const earlier = await findCreated(deps.db, { actor, key, hash });
  if (earlier) return earlier;
  await refuseOnFullDisk(deps.config);
  await failpoint('create.begin');
  const transaction = inTransaction(deps.db, async (trx) => {
    const creation = key === null ? null : { key, hash: hash.text };
    const project = await insertProject(trx, deps, { project: checked, actor, action: 'createAndBuild', creation });
    if (!project) return null;
    const { build } = await acceptBuild(trx, {
      projectId: project.id,
      projectVersion: null,
      spec,
      source: 'API',
      retryOf: null,
      idempotencyKey: key,
      inputHash: key === null ? null : hash,
      actor,
      action: 'createAndBuild',
    });
    return { project, build };
  });
  // Of two requests with one key that come at the same time, the slower one may also be refused for the name.
  const created = await transaction.catch(async (error: unknown) => {
    if (error instanceof ConflictError && (await findCreated(deps.db, { actor, key, hash }))) return null;
    throw error;
  });
  if (created) {
    await failpoint('create.committed');
    deps.hub.announce(BUILDS_TOPIC, projectTopic(created.project.id));
    return { ...created, deduplicated: false };
  }
  const winner = await findCreated(deps.db, { actor, key, hash });
  if (!winner) throw new Error('a project with this key exists, and is not found');
  return winner;
}

async function findCreated(
  db: Database,
  wanted: { readonly actor: string; readonly key: string | null; readonly hash: InputHash },
): Promise<CreatedBuild | null> {
  if (wanted.key === null) return null;
  const row = await db
    .selectFrom('projects')
    .selectAll()
    .where('created_by', '=', wanted.actor)
    .where('creation_key', '=', wanted.key)
    .executeTakeFirst();
  if (!row) return null;
  const build = await findBuildByIdempotencyKey(db, { projectId: row.id, idempotencyKey: wanted.key });
  if (!build || !wanted.hash.matches(row.creation_hash)) throw new IdempotencyConflictError(build?.id ?? row.id);
  return { project: toProject(row), build, deduplicated: true };
}
