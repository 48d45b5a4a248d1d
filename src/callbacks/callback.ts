/**
 * What a callback says: a finished build in snake_case. It is made from the build's row, which never changes after the
 * end, so every try of a delivery sends the same bytes.
 */
import type { Build } from '../builds/build.ts';
import type { BuildResult, FailureReason, Publication, ResultArtifact } from '../builds/build-result.ts';
import type { Usage } from '../events/event.ts';
import type { BuildPhase, BuildStatus } from '../events/vocabulary.ts';
import { toPublicId } from '../std/public-id.ts';

type FileChange = BuildResult['filesChanged'][number];

/** Of the body. Long texts and lists are cut to fit, and say so. */
export const MAX_CALLBACK_BYTES = 256 * 1024;

export interface CallbackPayload {
  /** The same as `build_id`. */
  readonly task_id: string;
  readonly build_id: string;
  readonly project_id: string;
  readonly status: BuildStatus;
  readonly result: CallbackResult;
}

interface CallbackResult {
  readonly success: boolean;
  readonly output: string | null;
  /** `output` ends before its end; the API has all of it. */
  readonly output_truncated: boolean;
  readonly error: CallbackError | null;
  readonly publication: Publication;
  readonly commit_sha: string | null;
  readonly commit_url: string | null;
  readonly branch: string | null;
  readonly files_changed: readonly CallbackFileChange[];
  /** How many there are; `files_changed` may hold only the first of them. */
  readonly files_changed_total: number;
  readonly duration_ms: number;
  readonly artifacts: {
    readonly commit_sha: string | null;
    readonly files: readonly CallbackArtifact[];
    /** How many there are; `files` may hold only the first of them. */
    readonly files_total: number;
  };
  readonly usage: CallbackUsage | null;
  readonly session_id: string | null;
}

interface CallbackError {
  readonly reason: FailureReason;
  readonly phase: BuildPhase;
  readonly message: string;
  readonly retryable: boolean;
  readonly remedy: string;
}

interface CallbackFileChange {
  readonly path: string;
  readonly previous_path: string | null;
  readonly status: FileChange['status'];
  readonly additions: number | null;
  readonly deletions: number | null;
}

interface CallbackArtifact {
  /** `artifact_…` */
  readonly id: string;
  readonly name: string;
  readonly content_type: string;
  readonly size_bytes: number;
  readonly sha256: string;
}

interface CallbackUsage {
  readonly input_tokens: number | null;
  readonly output_tokens: number | null;
  readonly cache_read_tokens: number | null;
  readonly cache_write_tokens: number | null;
  readonly cost_usd: number | null;
  readonly turns: number | null;
}

export interface FinishedBuild extends Pick<Build, 'id' | 'projectId' | 'status'> {
  readonly result: BuildResult;
}

/** The body as it is signed and sent: JSON of at most 256 KiB. */
export function callbackBody(build: FinishedBuild): string {
  const { output, error, filesChanged, artifacts } = build.result;
  const bare = { ...build.result, output: null, error: error && { ...error, message: '' } };
  const empty = payloadOf({ ...build, result: { ...bare, filesChanged: [], artifacts: [] } }, build.result);
  let room = MAX_CALLBACK_BYTES - jsonBytes(empty);

  const message = error && cutText(error.message, room / 16);
  room -= message === null ? 0 : jsonBytes(message);
  const text = output === null ? null : cutText(output, room / 2);
  room -= text === null ? 0 : jsonBytes(text);
  const keptArtifacts = cutList(artifacts, toArtifact, room / 2);
  room -= jsonBytes(keptArtifacts.map(toArtifact));
  const result = {
    ...build.result,
    output: text,
    error: error && { ...error, message: message ?? '' },
    artifacts: keptArtifacts,
    filesChanged: cutList(filesChanged, toFileChange, room),
  };
  return JSON.stringify(payloadOf({ ...build, result }, build.result));
}

/** `whole` is the result before it was cut. */
function payloadOf(build: FinishedBuild, whole: BuildResult): CallbackPayload {
  const { result } = build;
  const buildId = toPublicId('build', build.id);
  return {
    task_id: buildId,
    build_id: buildId,
    project_id: toPublicId('project', build.projectId),
    status: build.status,
    result: {
      success: result.success,
      output: result.output,
      output_truncated: result.output !== whole.output,
      error: result.error && toError(result.error),
      publication: result.publication,
      commit_sha: result.commitSha,
      commit_url: result.commitUrl,
      branch: result.branch,
      files_changed: result.filesChanged.map(toFileChange),
      files_changed_total: whole.filesChanged.length,
      duration_ms: result.durationMs,
      artifacts: {
        commit_sha: result.commitSha,
        files: result.artifacts.map(toArtifact),
        files_total: whole.artifacts.length,
      },
      usage: result.usage && toUsage(result.usage),
      session_id: result.sessionId,
    },
  };
}

function toError({ reason, phase, message, retryable, remedy }: NonNullable<BuildResult['error']>): CallbackError {
  return { reason, phase, message, retryable, remedy };
}

function toFileChange(change: FileChange): CallbackFileChange {
  const { path, previousPath, status, additions, deletions } = change;
  return { path, previous_path: previousPath, status, additions, deletions };
}

function toArtifact({ id, name, contentType, sizeBytes, sha256 }: ResultArtifact): CallbackArtifact {
  return { id: toPublicId('artifact', id), name, content_type: contentType, size_bytes: sizeBytes, sha256 };
}

function toUsage(usage: Usage): CallbackUsage {
  return {
    input_tokens: usage.inputTokens,
    output_tokens: usage.outputTokens,
    cache_read_tokens: usage.cacheReadTokens,
    cache_write_tokens: usage.cacheWriteTokens,
    cost_usd: usage.costUsd,
    turns: usage.turns,
  };
}

function jsonBytes(value: unknown): number {
  return Buffer.byteLength(JSON.stringify(value));
}

/**
 * A start of the text whose JSON fits, as long as can be. A character is never cut in half: alone, one half of a
 * surrogate pair is six bytes of JSON, and the pair four, so where a half fits the search goes on.
 */
function cutText(text: string, room: number): string {
  if (jsonBytes(text) <= room) return text;
  let fits = 0;
  let tooLong = text.length;
  while (tooLong - fits > 1) {
    const middle = Math.floor((fits + tooLong) / 2);
    if (jsonBytes(text.slice(0, middle)) <= room) fits = middle;
    else tooLong = middle;
  }
  return text.slice(0, fits);
}

function cutList<T>(items: readonly T[], write: (item: T) => unknown, room: number): readonly T[] {
  let bytes = '[]'.length;
  const end = items.findIndex((item) => {
    bytes += jsonBytes(write(item)) + ','.length;
    return bytes > room;
  });
  return end === -1 ? items : items.slice(0, end);
}
