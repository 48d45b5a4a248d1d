/**
 * What one request reads by id, each once and together. A loader gives null for what there is not and for what the viewer
 * may not see, so no resolver can forget to ask.
 */
import DataLoader from 'dataloader';
import { type Artifact, findArtifactsById, listArtifactsOf } from '../src/artifacts/artifact.ts';
import { findTokenNames } from '../src/auth/api-token.ts';
import { can, seesProject, type Viewer } from '../src/auth/viewer.ts';
import { type BuildSummary, findBuildSummaries } from '../src/builds/build.ts';
import type { BuildMessage } from '../src/builds/build-message.ts';
import type { BuildQuestion } from '../src/builds/build-question.ts';
import type { BuildFilter } from '../src/builds/filter-builds.ts';
import { type BuildParent, countBuildsOf, listBuildsOf } from '../src/builds/list-builds.ts';
import { listMessages, listQuestions } from '../src/builds/list-talk.ts';
import { type BuildDocuments, readDocuments } from '../src/builds/read-documents.ts';
import { readSpendToday, type Spend } from '../src/builds/spend.ts';
import {
  type Delivery,
  type DeliveryAttempt,
  findDeliveries,
  findDeliveriesById,
  findDeliveryAttempts,
  findTaskDeliveries,
} from '../src/callbacks/delivery.ts';
import { type Credential, findSigned, listCredentials } from '../src/credentials/credential.ts';
import type { Database } from '../src/database/database.ts';
import type { Keyset } from '../src/database/keyset.ts';
import type { BuildEvent, BuildEventType } from '../src/events/event.ts';
import { listEventsOf } from '../src/events/list-events.ts';
import type { QuestionState } from '../src/events/vocabulary.ts';
import { findProjects, type Project } from '../src/projects/project.ts';
import { type ProjectQueue, readProjectQueues } from '../src/queue/read-queue.ts';
import { findSchedules, listSchedulesOf, type Schedule } from '../src/schedules/schedule.ts';
import { canonicalJson } from '../src/std/canonical-json.ts';
import { readDocumentsWithin, type TaskDocuments } from '../src/tasks/list-tasks.ts';
import { findTasks, type Task } from '../src/tasks/task.ts';
import { listTaskEventsOf, type TaskEvent } from '../src/tasks/task-events.ts';
import { findWorkers, type WorkerRecord } from '../src/workers/registry.ts';
import { listAttemptsOf, type WorkerAttempt } from '../src/workers/worker-history.ts';
import { type QueueLoaders, queueLoaders } from './queue-loaders.ts';
import type { ResponseBudget } from './response-budget.ts';

/** One page of what belongs to one parent. */
interface ChildPage<Query> {
  readonly parent: string;
  readonly query: Query;
  readonly keyset: Keyset;
}

export interface BuildsQuery {
  readonly by: BuildParent;
  readonly filter: BuildFilter;
}

/** The questions of one build. */
interface QuestionsOf {
  readonly parent: string;
  /** Null: in any. */
  readonly state: QuestionState | null;
}

type DocumentName = keyof BuildDocuments;

/** One member of the spec, or of the result, of one build. */
interface Member<D extends DocumentName> {
  readonly buildId: string;
  readonly key: keyof BuildDocuments[D];
}

type MemberLoader<D extends DocumentName> = DataLoader<
  Member<D>,
  BuildDocuments[D][keyof BuildDocuments[D]] | null,
  string
>;

export interface Loaders extends QueueLoaders {
  readonly project: DataLoader<string, Project | null>;
  readonly build: DataLoader<string, BuildSummary | null>;
  readonly spec: MemberLoader<'spec'>;
  readonly result: MemberLoader<'result'>;
  readonly worker: DataLoader<string, WorkerRecord | null>;
  readonly artifact: DataLoader<string, Artifact | null>;
  readonly tokenName: DataLoader<string, string | null>;
  readonly delivery: DataLoader<string, Delivery | null>;
  readonly message: DataLoader<string, BuildMessage | null>;
  readonly question: DataLoader<string, BuildQuestion | null>;
  readonly task: DataLoader<string, Task | null>;
  /** By task that may be seen. */
  readonly taskDocuments: DataLoader<string, TaskDocuments>;
  /** By task. */
  readonly taskDeliveries: DataLoader<string, readonly Delivery[]>;
  /** Of tasks that are builds, or of others. */
  readonly taskEvents: DataLoader<ChildPage<{ readonly isBuild: boolean }>, readonly TaskEvent[], string>;
  /** By project. */
  readonly credentials: DataLoader<string, readonly Credential[]>;
  /** By project: null when the queue does not know it yet. */
  readonly projectQueue: DataLoader<string, ProjectQueue | null>;
  /** By project: what it has spent since midnight UTC. */
  readonly spentToday: DataLoader<string, Spend>;
  /** By project: does a credential sign its callbacks? */
  readonly signed: DataLoader<string, boolean>;
  /** By build. */
  readonly deliveries: DataLoader<string, readonly Delivery[]>;
  /** By build. */
  readonly messages: DataLoader<string, readonly BuildMessage[]>;
  readonly questions: DataLoader<QuestionsOf, readonly BuildQuestion[], string>;
  /** By delivery. */
  readonly deliveryAttempts: DataLoader<string, readonly DeliveryAttempt[]>;
  readonly builds: DataLoader<ChildPage<BuildsQuery>, readonly BuildSummary[], string>;
  readonly buildCount: DataLoader<Omit<ChildPage<BuildsQuery>, 'keyset'>, number, string>;
  /** By worker: what it has run of the projects that may be seen. */
  readonly history: DataLoader<ChildPage<null>, readonly WorkerAttempt[], string>;
  readonly schedule: DataLoader<string, Schedule | null>;
  readonly schedules: DataLoader<ChildPage<null>, readonly Schedule[], string>;
  readonly artifacts: DataLoader<ChildPage<null>, readonly Artifact[], string>;
  readonly events: DataLoader<ChildPage<readonly BuildEventType[] | null>, readonly BuildEvent[], string>;
}

export function createLoaders(db: Database, viewer: Viewer, budget: ResponseBudget): Loaders {
  const build = byId(
    (ids) => findBuildSummaries(db, ids),
    ({ projectId }) => seesProject(viewer, projectId),
  );
  const ofVisibleBuild = async ({ buildId }: { readonly buildId: string }) => (await build.load(buildId)) !== null;
  return {
    build,
    spec: members({ db, viewer, budget }, 'spec'),
    result: members({ db, viewer, budget }, 'result'),
    project: byId(
      (ids) => findProjects(db, ids),
      ({ id }) => seesProject(viewer, id),
    ),
    worker: byId(
      (ids) => findWorkers(db, { ids }),
      () => true,
    ),
    artifact: byId<Artifact>((ids) => findArtifactsById(db, ids), ofVisibleBuild),
    tokenName: new DataLoader(async (ids) => {
      const names = new Map((await findTokenNames(db, ids)).map(({ id, name }) => [id, name]));
      return ids.map((id) => names.get(id) ?? null);
    }),
    credentials: new DataLoader(async (scopes) => {
      const groups = Map.groupBy(await listCredentials(db, scopes), ({ projectId }) => projectId);
      return scopes.map((scope) => groups.get(scope) ?? []);
    }),
    signed: new DataLoader(async (projectIds) => {
      const signed = await findSigned(db, projectIds);
      return projectIds.map((id) => signed.has(id));
    }),
    projectQueue: new DataLoader(async (projectIds) => {
      const queues = new Map((await readProjectQueues(db, projectIds)).map((queue) => [queue.projectId, queue]));
      return projectIds.map((id) => queues.get(id) ?? null);
    }),
    spentToday: new DataLoader(async (projectIds) => {
      const spent = await readSpendToday(db, projectIds);
      return projectIds.map((id) => spent.get(id) ?? new Error('a project that may be seen was not read'));
    }),
    ...deliveryLoaders(db, viewer),
    ...queueLoaders(db),
    ...talkLoaders(db, budget, ofVisibleBuild),
    ...taskLoaders(db, viewer, budget),
    builds: childPages(async ({ by, filter }, keyset, parents) => {
      const pages = await listBuildsOf(db, { by, parents, filter: visible(viewer, filter) }, keyset);
      for (const row of [...pages.values()].flat()) build.prime(row.id, row);
      return pages;
    }),
    buildCount: byParent(async ({ query: { by, filter } }, parents) => {
      const counts = await countBuildsOf(db, { by, parents, filter: visible(viewer, filter) });
      return (parent) => counts.get(parent) ?? 0;
    }),
    history: childPages((_query, keyset, workerIds) =>
      listAttemptsOf(db, { workerIds, projectIds: viewer.projectIds }, keyset),
    ),
    ...scheduleLoaders(db, viewer, budget),
    artifacts: childPages((_query, keyset, buildIds) => listArtifactsOf(db, buildIds, keyset)),
    events: childPages(async (types, keyset, buildIds) => {
      const pages = await listEventsOf(db, { buildIds, types }, keyset);
      for (const page of pages.values()) budget.spend(JSON.stringify(page).length);
      return pages;
    }),
  };
}

function deliveryLoaders(db: Database, viewer: Viewer): Pick<Loaders, 'delivery' | 'deliveries' | 'deliveryAttempts'> {
  return {
    delivery: byId<Delivery>(
      (ids) => findDeliveriesById(db, ids),
      ({ projectId }) => seesProject(viewer, projectId),
    ),
    deliveries: grouped(
      (buildIds) => findDeliveries(db, buildIds),
      (delivery) => delivery.buildId ?? '',
    ),
    deliveryAttempts: grouped(
      (ids) => findDeliveryAttempts(db, ids),
      (attempt) => attempt.deliveryId,
    ),
  };
}

/** A build is one only for who may read builds; whoever works on tasks reads them, too. */
function seesTask(viewer: Viewer, task: Pick<Task, 'projectId' | 'isBuild'>): boolean {
  if (!seesProject(viewer, task.projectId)) return false;
  return task.isBuild ? can(viewer, 'builds:read') : can(viewer, 'tasks:read') || can(viewer, 'work');
}

function taskLoaders(
  db: Database,
  viewer: Viewer,
  budget: ResponseBudget,
): Pick<Loaders, 'task' | 'taskDocuments' | 'taskDeliveries' | 'taskEvents'> {
  return {
    task: byId<Task>(
      (ids) => findTasks(db, ids),
      (task) => seesTask(viewer, task),
    ),
    taskDocuments: new DataLoader(async (ids) => {
      const found = await budget.read((maxBytes) => readDocumentsWithin(db, { ids, maxBytes }));
      const byTask = new Map(found.map((documents) => [documents.id, documents]));
      return ids.map((id) => byTask.get(id) ?? new Error('a task that may be seen was not read'));
    }),
    taskDeliveries: grouped(
      (ids) => findTaskDeliveries(db, ids),
      (delivery) => delivery.taskId ?? '',
    ),
    taskEvents: childPages(async ({ isBuild }, keyset, ids) => {
      const pages = await listTaskEventsOf(db, { ids, isBuild }, keyset);
      for (const page of pages.values()) budget.spend(JSON.stringify(page).length);
      return pages;
    }),
  };
}

/** Of what people and agents have said to each other. */
function talkLoaders(
  db: Database,
  budget: ResponseBudget,
  isVisible: (row: { readonly buildId: string }) => Promise<boolean>,
): Pick<Loaders, 'message' | 'question' | 'messages' | 'questions'> {
  return {
    message: byId<BuildMessage>(
      (ids) => budget.read((maxBytes) => listMessages(db, { by: 'id', ids, maxBytes })),
      isVisible,
    ),
    question: byId<BuildQuestion>(
      (ids) => budget.read((maxBytes) => listQuestions(db, { by: 'id', ids, maxBytes, state: null })),
      isVisible,
    ),
    messages: grouped(
      (ids) => budget.read((maxBytes) => listMessages(db, { by: 'build_id', ids, maxBytes })),
      (message) => message.buildId,
    ),
    questions: byParent(async ({ state }, ids) => {
      const found = await budget.read((maxBytes) => listQuestions(db, { by: 'build_id', ids, maxBytes, state }));
      const groups = Map.groupBy(found, ({ buildId }) => buildId);
      return (parent) => groups.get(parent) ?? [];
    }),
  };
}

function scheduleLoaders(
  db: Database,
  viewer: Viewer,
  budget: ResponseBudget,
): Pick<Loaders, 'schedule' | 'schedules'> {
  return {
    schedule: byId<Schedule>(
      async (ids) => spent(budget, await findSchedules(db, ids)),
      ({ projectId }) => seesProject(viewer, projectId),
    ),
    schedules: childPages(async (_query, keyset, projectIds) => {
      const pages = await listSchedulesOf(db, projectIds, keyset);
      spent(budget, [...pages.values()].flat());
      return pages;
    }),
  };
}

/** What answers hold of them are their specs. */
function spent(budget: ResponseBudget, schedules: readonly Schedule[]): readonly Schedule[] {
  for (const { spec } of schedules) budget.spend(JSON.stringify(spec).length);
  return schedules;
}

/** Only what the viewer may see of what the filter asks for. */
function visible(viewer: Viewer, filter: BuildFilter): BuildFilter {
  const asked = filter.projectIds;
  if (viewer.projectIds === null) return filter;
  return { ...filter, projectIds: asked ? asked.filter((id) => seesProject(viewer, id)) : viewer.projectIds };
}

function byId<Row extends { readonly id: string }>(
  find: (ids: readonly string[]) => Promise<readonly Row[]>,
  isVisible: (row: Row) => boolean | Promise<boolean>,
): DataLoader<string, Row | null> {
  return new DataLoader(async (ids) => {
    const rows = new Map((await find(ids)).map((row) => [row.id, row]));
    return Promise.all(
      ids.map(async (id) => {
        const row = rows.get(id);
        return row && (await isVisible(row)) ? row : null;
      }),
    );
  });
}

interface MemberReader {
  readonly db: Database;
  readonly viewer: Viewer;
  readonly budget: ResponseBudget;
}

/** Builds of which the same members are asked are one statement, and nothing else of their documents is read. */
function members<D extends DocumentName>({ db, viewer, budget }: MemberReader, document: D): MemberLoader<D> {
  const nameOf = ({ buildId, key }: Member<D>) => `${buildId} ${String(key)}`;
  return new DataLoader(
    async (wanted: readonly Member<D>[]) => {
      const keysOf = Map.groupBy(wanted, ({ buildId }) => buildId);
      const alike = Map.groupBy(keysOf, ([, asked]) => canonicalJson(asked.map(({ key }) => key).toSorted()));
      const found = new Map<string, Partial<BuildDocuments[D]>>();
      for (const group of alike.values()) {
        const keys = group[0]?.[1].map(({ key }) => key) ?? [];
        const buildIds = group.map(([buildId]) => buildId);
        const rows = await budget.read((maxBytes) => readDocuments(db, { document, buildIds, keys, maxBytes }));
        for (const row of rows) {
          if (row.members && seesProject(viewer, row.projectId)) found.set(row.buildId, row.members);
        }
      }
      return wanted.map(({ buildId, key }) => found.get(buildId)?.[key] ?? null);
    },
    { cacheKeyFn: nameOf },
  );
}

function grouped<Row>(
  find: (parents: readonly string[]) => Promise<readonly Row[]>,
  parentOf: (row: Row) => string,
): DataLoader<string, readonly Row[]> {
  return new DataLoader(async (parents) => {
    const groups = Map.groupBy(await find(parents), parentOf);
    return parents.map((parent) => groups.get(parent) ?? []);
  });
}

function childPages<Query, Row>(
  read: (query: Query, keyset: Keyset, parents: readonly string[]) => Promise<ReadonlyMap<string, readonly Row[]>>,
): DataLoader<ChildPage<Query>, readonly Row[], string> {
  return byParent<ChildPage<Query>, readonly Row[]>(async ({ query, keyset }, parents) => {
    const pages = await read(query, keyset, parents);
    return (parent) => pages.get(parent) ?? [];
  });
}

/** Keys that differ in nothing but the parent are one statement. */
function byParent<Key extends { readonly parent: string }, Value>(
  read: (key: Omit<Key, 'parent'>, parents: readonly string[]) => Promise<(parent: string) => Value>,
): DataLoader<Key, Value, string> {
  const readKind = async (keys: readonly Key[]) => {
    const [first] = keys;
    return first && (await read(first, [...new Set(keys.map((key) => key.parent))]));
  };
  const kindOf = ({ parent: _parent, ...rest }: Key) => canonicalJson(rest);
  return new DataLoader<Key, Value, string>(
    async (keys) => {
      const kinds = new Map<string, (parent: string) => Value>();
      for (const [kind, group] of Map.groupBy(keys, kindOf)) {
        const ofParent = await readKind(group);
        if (ofParent) kinds.set(kind, ofParent);
      }
      return keys.map((key) => kinds.get(kindOf(key))?.(key.parent) as Value);
    },
    { cacheKeyFn: canonicalJson },
  );
}
