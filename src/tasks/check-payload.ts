/** Is a payload what its type asks for? */
import type { Database } from '../database/database.ts';
import { InvalidInputError } from '../errors.ts';
import { checkRunPayload } from '../task-runs/task-payload.ts';
import { payloadProblem } from './payload-schema.ts';
import { findTaskType, listTaskTypes } from './task-type.ts';

/** Throws InvalidInputError: there is no such type, or the payload is not what its schema says. */
export async function checkPayload(
  db: Database,
  { projectId, type, payload }: { readonly projectId: string; readonly type: string; readonly payload: unknown },
): Promise<void> {
  const found = await findTaskType(db, { projectId, name: type });
  if (!found) {
    const known = (await listTaskTypes(db, { projectIds: [projectId] })).map(({ name }) => name);
    const message = `is no task type of this project. Known: ${[...new Set(known)].slice(0, 50).join(', ')}`;
    throw new InvalidInputError([{ path: ['input', 'type'], message }], 'UNKNOWN_TASK_TYPE');
  }
  checkRunPayload({ type, payload });
  const problem = payloadProblem(found.schema, payload);
  if (problem) throw new InvalidInputError([{ path: ['input', 'payload', ...problem.path], message: problem.message }]);
}
