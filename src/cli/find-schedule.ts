/** Schedules as people name them: by id, or by name in a project. */
import {
  ListSchedulesDocument,
  type ListSchedulesQuery,
  type ScheduleFieldsFragment,
  ShowNextRunsDocument,
} from '../client/generated.ts';
import { CliError } from './exit-code.ts';
import { findProject } from './find-project.ts';
import type { ClientFlags, Session } from './session.ts';

export interface ScheduleFlags extends ClientFlags {
  readonly project?: string;
}

/** A project has 100 at most. */
const MAX_PAGES = 10;

/** All of a project. Throws CliError when there is no such project. */
export async function readSchedules(session: Session, reference: string): Promise<readonly ScheduleFieldsFragment[]> {
  const { id: projectId } = await findProject(session, reference);
  const found: ScheduleFieldsFragment[] = [];
  let after: string | null = null;
  for (let page = 0; page < MAX_PAGES; page += 1) {
    const { project }: ListSchedulesQuery = await session.client.request(ListSchedulesDocument, { projectId, after });
    found.push(...(project?.schedules.nodes ?? []));
    if (!project?.schedules.pageInfo.hasNextPage) break;
    after = project.schedules.pageInfo.endCursor;
  }
  return found;
}

/** Throws CliError when there is no schedule of this name. */
export async function findScheduleId(session: Session, reference: string, flags: ScheduleFlags): Promise<string> {
  return reference.startsWith('schedule_') ? reference : (await findByName(session, reference, flags)).id;
}

/** Throws CliError when there is no such schedule. */
export async function findSchedule(
  session: Session,
  reference: string,
  flags: ScheduleFlags,
): Promise<ScheduleFieldsFragment> {
  if (!reference.startsWith('schedule_')) return findByName(session, reference, flags);
  const { schedule } = await session.client.request(ShowNextRunsDocument, { id: reference, first: 1 });
  if (!schedule) throw noSchedule(reference);
  return schedule;
}

export function noSchedule(id: string): CliError {
  return new CliError(`There is no schedule ${id}, or this token may not see it.`, { code: 'NOT_FOUND' });
}

async function findByName(session: Session, reference: string, flags: ScheduleFlags): Promise<ScheduleFieldsFragment> {
  if (!flags.project) {
    throw new CliError(`Say of which project ${reference} is a schedule: --project.`, { code: 'NO_PROJECT' });
  }
  const schedules = await readSchedules(session, flags.project);
  const schedule = schedules.find(({ name }) => name === reference);
  if (schedule) return schedule;
  const names = schedules.map(({ name }) => name).join(', ');
  const hints = names === '' ? [] : [`There are: ${names}.`];
  throw new CliError(`The project ${flags.project} has no schedule ${reference}.`, { code: 'NOT_FOUND', hints });
}
