/** The noun: a type of tasks, with a JSON Schema of its payload. Slipway has some; the others are made by their users. */
import { v7 } from 'uuid';
import { audit } from '../database/audit.ts';
import type { Database } from '../database/database.ts';
import { inTransaction } from '../database/transaction.ts';
import { InvalidInputError, NotFoundError } from '../errors.ts';
import { parseInput } from './lease.ts';
import { schemaProblem } from './payload-schema.ts';
import { type SetTaskTypeInput, setTaskTypeInput } from './task-input.ts';

export interface TaskType {
  /** Null: a type of Slipway itself. */
  readonly id: string | null;
  /** Null: of every project that has none of this name itself. */
  readonly projectId: string | null;
  readonly name: string;
  readonly schema: Readonly<Record<string, unknown>>;
  readonly createdAt: Date | null;
  readonly updatedAt: Date | null;
}

/** Types of all projects, and of one project. */
const MAX_TYPES = 200;

const builtIn = (name: string, schema: Readonly<Record<string, unknown>>): TaskType => ({
  id: null,
  projectId: null,
  name,
  schema,
  createdAt: null,
  updatedAt: null,
});

/** What runs them says more exactly what they take. */
const BUILT_IN_TYPES: readonly TaskType[] = [
  builtIn('build', { type: 'object', required: ['prompt'] }),
  builtIn('test', { type: 'object' }),
  builtIn('deploy', { type: 'object', required: ['environment'], properties: { environment: { type: 'string' } } }),
];

/** The project's own type of this name, or that of all projects. */
export async function findTaskType(
  db: Database,
  { projectId, name }: { readonly projectId: string; readonly name: string },
): Promise<TaskType | null> {
  const own = BUILT_IN_TYPES.find((type) => type.name === name);
  if (own) return own;
  const row = await db
    .selectFrom('task_types')
    .selectAll()
    .where('name', '=', name)
    .where((where) => where.or([where('project_id', '=', projectId), where('project_id', 'is', null)]))
    .orderBy('project_id', (order) => order.asc().nullsLast())
    .limit(1)
    .executeTakeFirst();
  return row ? toTaskType(row) : null;
}

/** Those of Slipway, those of all projects, and those of these projects (null: of any), by name. */
export async function listTaskTypes(
  db: Database,
  { projectIds }: { readonly projectIds: readonly string[] | null },
): Promise<TaskType[]> {
  let query = db.selectFrom('task_types').selectAll().orderBy('name').orderBy('id').limit(1_000);
  if (projectIds) {
    query = query.where((where) =>
      where.or([
        where('project_id', 'is', null),
        ...(projectIds.length > 0 ? [where('project_id', 'in', [...projectIds])] : []),
      ]),
    );
  }
  return [...BUILT_IN_TYPES, ...(await query.execute()).map(toTaskType)];
}

interface SetTaskType extends SetTaskTypeInput {
  readonly projectId: string | null;
}

/** Makes it, or replaces its schema: what is queued already is not checked again. Throws InvalidInputError. */
export async function setTaskType(
  { db }: { readonly db: Database },
  { projectId, ...rest }: SetTaskType,
  actor: string,
): Promise<TaskType> {
  const { name, schema } = parseInput(setTaskTypeInput, rest);
  const problem = schemaProblem(schema as Record<string, unknown>);
  if (problem) throw new InvalidInputError([{ path: ['input', 'schema'], message: problem }]);
  return inTransaction(db, async (trx) => {
    const written = JSON.stringify(schema);
    const row = await trx
      .insertInto('task_types')
      .values({ id: v7(), project_id: projectId, name, schema: written })
      .onConflict((conflict) =>
        conflict.columns(['project_id', 'name']).doUpdateSet({ schema: written, updated_at: new Date() }),
      )
      .returningAll()
      .executeTakeFirstOrThrow();
    const { count } = await trx
      .selectFrom('task_types')
      .select(({ fn }) => fn.countAll<number>().as('count'))
      .where('project_id', projectId === null ? 'is' : '=', projectId)
      .executeTakeFirstOrThrow();
    if (count > MAX_TYPES) {
      throw new InvalidInputError([{ path: ['input', 'name'], message: `there are ${MAX_TYPES} types already` }]);
    }
    await audit(trx, {
      actor,
      action: 'setTaskType',
      subjectType: 'tasktype',
      subjectId: row.id,
      projectId,
      detail: { name },
    });
    return toTaskType(row);
  });
}

/** What is queued of it stays. Throws NotFoundError. */
export async function deleteTaskType(
  { db }: { readonly db: Database },
  { projectId, name }: { readonly projectId: string | null; readonly name: string },
  actor: string,
): Promise<TaskType> {
  return inTransaction(db, async (trx) => {
    const row = await trx
      .deleteFrom('task_types')
      .where('name', '=', name)
      .where('project_id', projectId === null ? 'is' : '=', projectId)
      .returningAll()
      .executeTakeFirst();
    if (!row) throw new NotFoundError('task type', name);
    await audit(trx, {
      actor,
      action: 'deleteTaskType',
      subjectType: 'tasktype',
      subjectId: row.id,
      projectId,
      detail: { name },
    });
    return toTaskType(row);
  });
}

function toTaskType(row: {
  readonly id: string;
  readonly project_id: string | null;
  readonly name: string;
  readonly schema: unknown;
  readonly created_at: Date;
  readonly updated_at: Date;
}): TaskType {
  return {
    id: row.id,
    projectId: row.project_id,
    name: row.name,
    schema: row.schema as Record<string, unknown>,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}
