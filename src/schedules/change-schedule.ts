/** Schedules are made, changed, paused and deleted: row, job and audit entry in one transaction. */
import { v7 } from 'uuid';
import { z } from 'zod';
import type { BuildSpecInput } from '../builds/build-spec.ts';
import { type ResolveSpecDeps, resolveSpec } from '../builds/resolve-spec.ts';
import { audit } from '../database/audit.ts';
import type { Database, DatabaseTransaction } from '../database/database.ts';
import { inTransaction } from '../database/transaction.ts';
import { isUniqueViolation } from '../database/transient.ts';
import { ConflictError, type InputIssue, InvalidInputError, inputIssues, NotFoundError } from '../errors.ts';
import { findProject, type Project } from '../projects/project.ts';
import type { Queue } from '../queue/queue.ts';
import { isPlainText, NOT_PLAIN_TEXT } from '../std/plain-text.ts';
import { toPublicId } from '../std/public-id.ts';
import { parseCron } from './cron.ts';
import { lockSchedule, MAX_SCHEDULES, nextRuns, type Schedule, toSchedule } from './schedule.ts';
import { findTimeZone } from './time-zone.ts';

const MAX_SPEC_BYTES = 128 * 1024;
const MAX_REASON = 1_000;

export interface ScheduleDeps extends ResolveSpecDeps {
  readonly db: Database;
  readonly queue: Queue;
}

const plain = (max: number) => z.string().trim().min(1).max(max).refine(isPlainText, NOT_PLAIN_TEXT);

const scheduleInput = z.strictObject({
  name: plain(100),
  cron: z.string().superRefine((text, context) => {
    const parsed = parseCron(text);
    if (!parsed.ok) context.addIssue({ code: 'custom', message: parsed.problem });
  }),
  timeZone: z.string().refine((name) => findTimeZone(name) !== null, 'is no time zone, such as Europe/Berlin'),
  overlap: z.enum(['SKIP_IF_RUNNING', 'QUEUE', 'CANCEL_RUNNING']),
  catchUp: z.enum(['NONE', 'LATEST', 'ALL']),
  catchUpSeconds: z.int().min(300).max(2_592_000),
});

type Rule = z.output<typeof scheduleInput>;
type Given<T> = { readonly [K in keyof T]?: T[K] | null | undefined };

export interface ScheduleInput extends Given<Omit<Rule, 'name' | 'cron'>> {
  readonly projectId: string;
  readonly name: string;
  readonly cron: string;
  readonly spec: BuildSpecInput;
}

/** What is absent or null stays. */
export interface ScheduleChanges extends Given<Rule> {
  readonly spec?: BuildSpecInput | null | undefined;
}

const DEFAULTS = { timeZone: 'UTC', overlap: 'SKIP_IF_RUNNING', catchUp: 'NONE', catchUpSeconds: 86_400 } as const;

/** Throws InvalidInputError, NotFoundError (of the project) or ConflictError (it has one of this name, or too many). */
export async function createSchedule(deps: ScheduleDeps, input: ScheduleInput, actor: string): Promise<Schedule> {
  const { projectId, spec, ...rule } = input;
  const id = v7();
  return inTransaction(deps.db, async (trx) => {
    // Their number is counted under this lock.
    await trx.selectFrom('projects').select('id').where('id', '=', projectId).forNoKeyUpdate().execute();
    const project = await requireProject(trx, projectId);
    const checked = check(deps, project, { ...DEFAULTS, ...withoutNull(rule), spec });
    const others = await trx.selectFrom('schedules').select('name').where('project_id', '=', projectId).execute();
    if (others.some(({ name }) => name === checked.name)) throw nameTaken(checked.name);
    if (others.length >= MAX_SCHEDULES) {
      throw new ConflictError(`The project has ${MAX_SCHEDULES} schedules, which is as many as it may have.`);
    }
    const [nextRunAt] = nextRuns(checked, new Date(), 1);
    const row = await trx
      .insertInto('schedules')
      .values({ id, project_id: projectId, ...toColumns(checked), next_run_at: nextRunAt ?? null, created_by: actor })
      .returningAll()
      .executeTakeFirstOrThrow();
    return written(trx, deps.queue, { row: toSchedule(row), actor, action: 'createSchedule' });
  });
}

/** Its next time is counted from now on when cron or time zone change. Throws as `createSchedule` does. */
export async function updateSchedule(
  deps: ScheduleDeps,
  { id, changes }: { readonly id: string; readonly changes: ScheduleChanges },
  actor: string,
): Promise<Schedule> {
  return change(deps, id, async (trx, before) => {
    const project = await requireProject(trx, before.projectId);
    const { name, cron, timeZone, overlap, catchUp, catchUpSeconds, spec } = before;
    const earlier = { name, cron, timeZone, overlap, catchUp, catchUpSeconds, spec };
    const checked = check(deps, project, { ...earlier, ...withoutNull(changes) });
    const moved = checked.cron !== cron || checked.timeZone !== timeZone;
    const [nextRunAt] = moved && !before.pausedAt ? nextRuns(checked, new Date(), 1) : [before.nextRunAt];
    const row = await trx
      .updateTable('schedules')
      .set({
        ...toColumns(checked),
        next_run_at: nextRunAt ?? null,
        refusals: 0,
        last_error: null,
        updated_at: new Date(),
      })
      .where('id', '=', id)
      .returningAll()
      .executeTakeFirstOrThrow()
      .catch((error: unknown) => {
        throw isUniqueViolation(error, 'schedules_project_id_name_key') ? nameTaken(checked.name) : error;
      });
    const detail = { changed: Object.keys(withoutNull(changes)) };
    return written(trx, deps.queue, { row: toSchedule(row), actor, action: 'updateSchedule', detail });
  });
}

/** It starts no builds until it is resumed. Doing it twice is fine. Throws NotFoundError or InvalidInputError. */
export async function pauseSchedule(
  deps: ScheduleDeps,
  { id, reason = null }: { readonly id: string; readonly reason?: string | null | undefined },
  actor: string,
): Promise<Schedule> {
  if (reason !== null && (reason.length > MAX_REASON || !isPlainText(reason))) {
    throw new InvalidInputError([
      { path: ['input', 'reason'], message: `must be plain text of at most ${MAX_REASON} characters` },
    ]);
  }
  return change(deps, id, async (trx, before) => {
    if (before.pausedAt) return before;
    const row = await trx
      .updateTable('schedules')
      .set({ paused_at: new Date(), paused_reason: reason, next_run_at: null, updated_at: new Date() })
      .where('id', '=', id)
      .returningAll()
      .executeTakeFirstOrThrow();
    return written(trx, deps.queue, { row: toSchedule(row), actor, action: 'pauseSchedule', detail: { reason } });
  });
}

/** From now on: what was missed is not caught up. Doing it twice is fine. Throws NotFoundError. */
export async function resumeSchedule(deps: ScheduleDeps, id: string, actor: string): Promise<Schedule> {
  return change(deps, id, async (trx, before) => {
    if (!before.pausedAt) return before;
    const [nextRunAt] = nextRuns(before, new Date(), 1);
    const row = await trx
      .updateTable('schedules')
      .set({ paused_at: null, paused_reason: null, next_run_at: nextRunAt ?? null })
      .set({ refusals: 0, last_error: null, updated_at: new Date() })
      .where('id', '=', id)
      .returningAll()
      .executeTakeFirstOrThrow();
    return written(trx, deps.queue, { row: toSchedule(row), actor, action: 'resumeSchedule' });
  });
}

/** Its builds stay, and those that wait or run go on. Returns it as it was. Throws NotFoundError. */
export async function deleteSchedule(deps: ScheduleDeps, id: string, actor: string): Promise<Schedule> {
  return change(deps, id, async (trx, before) => {
    await trx.deleteFrom('schedules').where('id', '=', id).execute();
    return written(trx, deps.queue, { row: { ...before, nextRunAt: null }, actor, action: 'deleteSchedule' });
  });
}

/** Under the locks of its job and its row. */
async function change(
  { db, queue }: ScheduleDeps,
  id: string,
  work: (trx: DatabaseTransaction, before: Schedule) => Promise<Schedule>,
): Promise<Schedule> {
  return inTransaction(db, async (trx) => {
    await queue.schedules.lock(trx, id);
    const before = await lockSchedule(trx, id);
    if (!before) throw new NotFoundError('schedule', toPublicId('schedule', id));
    return work(trx, before);
  });
}

interface Change {
  readonly row: Schedule;
  readonly actor: string;
  readonly action: string;
  readonly detail?: Readonly<Record<string, unknown>>;
}

/** The job follows the row. */
async function written(trx: DatabaseTransaction, queue: Queue, { row, ...entry }: Change): Promise<Schedule> {
  if (row.nextRunAt) await queue.schedules.put(trx, row.id, row.nextRunAt);
  else await queue.schedules.remove(trx, row.id);
  const detail = { name: row.name, ...entry.detail };
  await audit(trx, { ...entry, detail, subjectType: 'schedule', subjectId: row.id, projectId: row.projectId });
  return row;
}

async function requireProject(trx: DatabaseTransaction, id: string): Promise<Project> {
  const project = await findProject(trx, id);
  if (!project || project.status === 'ARCHIVED') throw new NotFoundError('project', toPublicId('project', id));
  return project;
}

type CheckedRule = Rule & { readonly spec: BuildSpecInput };

/** Throws InvalidInputError, with the issues of the rule and of the spec. */
function check(deps: ScheduleDeps, project: Project, { spec, ...rule }: Record<string, unknown>): CheckedRule {
  const parsed = scheduleInput.safeParse(rule);
  const issues: InputIssue[] = parsed.success ? [] : inputIssues(parsed.error, ['input']);
  const path = ['input', 'spec'];
  const given = withoutNull(spec as BuildSpecInput);
  if (given.runAfter) issues.push({ path: [...path, 'runAfter'], message: 'The schedule says when its builds start.' });
  if (Buffer.byteLength(JSON.stringify(given)) > MAX_SPEC_BYTES) {
    issues.push({ path, message: `must be at most ${MAX_SPEC_BYTES / 1024} KiB` });
  }
  try {
    resolveSpec(deps, project, given, path);
  } catch (error) {
    if (!(error instanceof InvalidInputError)) throw error;
    issues.push(...error.issues);
  }
  if (!parsed.success || issues.length > 0) throw new InvalidInputError(issues);
  return { ...parsed.data, spec: given };
}

function toColumns({ name, cron, timeZone, overlap, catchUp, catchUpSeconds, spec }: CheckedRule) {
  const rule = { name, cron: cron.trim(), time_zone: timeZone, overlap, catch_up: catchUp };
  return { ...rule, catch_up_seconds: catchUpSeconds, spec: JSON.stringify(spec) };
}

function withoutNull<T extends object>(value: T): T {
  const present = Object.entries(value).filter(([, member]) => member !== null && member !== undefined);
  return Object.fromEntries(present) as T;
}

function nameTaken(name: string): ConflictError {
  return new ConflictError(`The project has a schedule ${name} already.`);
}
