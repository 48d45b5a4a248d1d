/** A build has ended: told to metrics and traces, once, by who has ended it, after the commit. */
import { sql } from 'kysely';
import { Coalescer } from '../database/coalescer.ts';
import type { Database } from '../database/database.ts';
import { executePrepared } from '../database/execute-prepared.ts';
import type { BuildStatus } from '../events/vocabulary.ts';
import { toPublicId } from '../std/public-id.ts';
import type { Telemetry } from '../telemetry/telemetry.ts';
import { parseTraceparent } from '../telemetry/trace-ids.ts';
import type { BuildFailure, FailureReason } from './build-result.ts';
import { buildSpanId } from './build-trace.ts';

/** Neither the task nor its agent is the reason. */
const SYSTEM_REASONS: ReadonlySet<FailureReason> = new Set([
  'INTERNAL',
  'WORKER_LOST',
  'SANDBOX_FAILED',
  'SANDBOX_UNAVAILABLE',
  'WORKSPACE_FULL',
  'CREDENTIAL_UNREADABLE',
]);

type PipelineResult = 'success' | 'failure' | 'timeout' | 'cancellation' | 'error';

/** In the words of OpenTelemetry: https://opentelemetry.io/docs/specs/semconv/registry/attributes/cicd/ */
function pipelineResult(status: BuildStatus, reason: FailureReason | null): PipelineResult {
  if (status === 'COMPLETED') return 'success';
  if (status === 'CANCELLED') return 'cancellation';
  if (reason === 'TIMEOUT' || reason === 'IDLE_TIMEOUT') return 'timeout';
  return reason !== null && SYSTEM_REASONS.has(reason) ? 'error' : 'failure';
}

export interface ReportDeps {
  readonly db: Database;
  readonly telemetry: Telemetry;
}

/** Gives why it failed; null when it did not, and when that cannot be read. Never rejects: the end itself is told already. */
export async function reportEnd({ db, telemetry }: ReportDeps, buildId: string): Promise<FailureReason | null> {
  const build = await endsOf(db)
    .add(buildId)
    .catch(() => null);
  if (!build?.finished_at) return null;
  const { status, created_at: createdAt, started_at: startedAt, finished_at: finishedAt } = build;
  const reason = (build.failure as BuildFailure | null)?.reason ?? null;
  const result = pipelineResult(status, reason);
  const spent = (state: string, from: Date, to: Date) =>
    telemetry.runDurations.observe(Math.max(0, to.getTime() - from.getTime()) / 1_000, {
      cicd_pipeline_name: 'build',
      cicd_pipeline_run_state: state,
      cicd_pipeline_result: result,
      ...(reason ? { error_type: reason } : {}),
    });
  spent('pending', createdAt, startedAt ?? finishedAt);
  if (startedAt) spent('executing', startedAt, finishedAt);
  if (reason) telemetry.runErrors.add({ cicd_pipeline_name: 'build', error_type: reason });
  if (reason === 'INTERNAL') telemetry.systemError('builds');
  const parent = parseTraceparent(build.traceparent);
  if (!parent) return reason;
  const span = telemetry.tracing.start({
    name: 'BUILD',
    parent,
    kind: 'server',
    spanId: buildSpanId(buildId),
    startedAt: createdAt,
    attributes: {
      'cicd.pipeline.action.name': 'BUILD',
      'cicd.pipeline.name': build.slug,
      'cicd.pipeline.run.id': toPublicId('build', buildId),
      'cicd.pipeline.result': result,
      'vcs.ref.head.name': build.branch,
      'vcs.ref.head.revision': build.pushed_sha,
      'vcs.repository.url.full': withoutCredentials(build.repository_url),
      'slipway.project': toPublicId('project', build.project_id),
      'slipway.build.number': build.number,
      'slipway.build.status': status,
      'slipway.build.attempts': build.attempt_no,
      'slipway.provider': build.provider,
    },
  });
  if (reason) span.fail(reason);
  span.end(finishedAt);
  return reason;
}

type End = Awaited<ReturnType<typeof readEnds>>[number];

const readers = new WeakMap<Database, Coalescer<string, End | null>>();

/** Builds that end together are read together. */
function endsOf(db: Database): Coalescer<string, End | null> {
  const reader =
    readers.get(db) ??
    new Coalescer<string, End | null>({
      name: 'ends of builds',
      flush: async (ids) => {
        const found = new Map((await readEnds(db, ids)).map((end) => [end.id, end]));
        return ids.map((id) => ({ ok: true, value: found.get(id) ?? null }));
      },
    });
  readers.set(db, reader);
  return reader;
}

/** Planned anew, it would cost as much as it does. */
function readEnds(db: Database, ids: readonly string[]) {
  const query = db
    .selectFrom('build_audit as b')
    .innerJoin('projects as p', 'p.id', 'b.project_id')
    .select(['b.id', 'b.status', 'b.created_at', 'b.started_at', 'b.finished_at', 'b.failure', 'b.traceparent'])
    .select(['b.number', 'b.attempt_no', 'b.provider', 'b.branch', 'b.pushed_sha', 'b.project_id'])
    .select(['p.slug', 'p.repository_url'])
    .where(sql<boolean>`b.id = any(${[...ids]}::uuid[])`);
  return executePrepared(db, query);
}

/** Null for what is no URL, such as a path. */
function withoutCredentials(repository: string | null): string | null {
  const url = repository === null ? null : URL.parse(repository);
  if (!url) return null;
  url.username = '';
  url.password = '';
  return url.href;
}
