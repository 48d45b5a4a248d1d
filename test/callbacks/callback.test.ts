import fc from 'fast-check';
import { v7 } from 'uuid';
import { expect, test } from 'vitest';
import { failure } from '../../src/builds/build-result.ts';
import { type CallbackPayload, callbackBody, MAX_CALLBACK_BYTES } from '../../src/callbacks/callback.ts';
import { RESULT } from './finished-builds.ts';

const ID = '0199f3a0-0000-7000-8000-000000000001';
const PROJECT = '0199f3a0-0000-7000-8000-000000000002';
const ARTIFACT = '0199f3a0-0000-7000-8000-000000000003';

const bodyOf = (result: Partial<typeof RESULT>) =>
  callbackBody({ id: ID, projectId: PROJECT, status: 'COMPLETED', result: { ...RESULT, ...result } });
const payloadOf = (result: Partial<typeof RESULT>) => JSON.parse(bodyOf(result)) as CallbackPayload;

test('a callback says everything about the build, in snake_case', () => {
  const payload = payloadOf({
    filesChanged: [{ path: 'b', previousPath: 'a', status: 'RENAMED', additions: 1, deletions: null }],
    artifacts: [{ id: ARTIFACT, name: 'a.txt', contentType: 'text/plain', sizeBytes: 3, sha256: 'f'.repeat(64) }],
    usage: { inputTokens: 1, outputTokens: 2, cacheReadTokens: 3, cacheWriteTokens: 4, costUsd: 0.5, turns: null },
    sessionId: 'session',
    commitUrl: 'https://example.com/commit',
  });
  expect(payload).toEqual({
    task_id: 'build_0199f3a0000070008000000000000001',
    build_id: 'build_0199f3a0000070008000000000000001',
    project_id: 'project_0199f3a0000070008000000000000002',
    status: 'COMPLETED',
    result: {
      success: true,
      output: 'Done.',
      output_truncated: false,
      error: null,
      publication: 'PUSHED',
      commit_sha: 'a'.repeat(40),
      commit_url: 'https://example.com/commit',
      branch: 'main',
      files_changed: [{ path: 'b', previous_path: 'a', status: 'RENAMED', additions: 1, deletions: null }],
      files_changed_total: 1,
      duration_ms: 1234,
      artifacts: {
        commit_sha: 'a'.repeat(40),
        files: [
          {
            id: 'artifact_0199f3a0000070008000000000000003',
            name: 'a.txt',
            content_type: 'text/plain',
            size_bytes: 3,
            sha256: 'f'.repeat(64),
          },
        ],
        files_total: 1,
      },
      usage: {
        input_tokens: 1,
        output_tokens: 2,
        cache_read_tokens: 3,
        cache_write_tokens: 4,
        cost_usd: 0.5,
        turns: null,
      },
      session_id: 'session',
    },
  });
});

test('a failed build says why, and no more than that', () => {
  const error = failure('TIMEOUT', 'AGENT', 'It took too long.');
  const payload = payloadOf({ success: false, error: { ...error, secret: 'x' } as typeof error, output: null });
  expect(payload.result.error).toEqual(error);
  expect(payload.result).toMatchObject({ success: false, output: null, output_truncated: false });
});

test('a long output is cut between two characters, and says so', () => {
  // Six bytes of JSON for each: far more than the 64 KiB that the result had.
  const { output, output_truncated } = payloadOf({ output: '\u0001'.repeat(64 * 1024) }).result;
  expect(output_truncated).toBe(true);
  expect(output?.length).toBeGreaterThan(20_000);
  for (const shift of ['', 'a', 'ab', 'abc']) {
    expect(payloadOf({ output: shift + '\u{1f6a2}'.repeat(64 * 1024) }).result.output?.isWellFormed()).toBe(true);
  }
});

test('long lists are cut to what fits, and tell how many there were', () => {
  const change = (path: string) => ({ path, previousPath: null, status: 'ADDED', additions: 1, deletions: 0 }) as const;
  const file = (name: string) => ({ id: v7(), name, contentType: 'text/plain', sizeBytes: 1, sha256: 'f'.repeat(64) });
  const body = bodyOf({
    filesChanged: Array.from({ length: 10_000 }, (_, index) => change(`src/file-${index}.ts`)),
    artifacts: Array.from({ length: 1_000 }, (_, index) => file(`dist/file-${index}.js`)),
  });
  const { result } = JSON.parse(body) as CallbackPayload;
  expect(result.files_changed_total).toBe(10_000);
  expect(result.artifacts.files_total).toBe(1_000);
  expect(result.files_changed.length).toBeGreaterThan(500);
  expect(result.files_changed.length).toBeLessThan(10_000);
  expect(result.files_changed.map(({ path }) => path)).toEqual(
    result.files_changed.map((_, index) => `src/file-${index}.ts`),
  );
  expect(result.artifacts.files.length).toBeGreaterThan(400);
  expect(Buffer.byteLength(body)).toBeLessThanOrEqual(MAX_CALLBACK_BYTES);
  expect(Buffer.byteLength(body)).toBeGreaterThan(MAX_CALLBACK_BYTES - 1_000);
});

test('whatever a build leaves behind, the body fits and is whole JSON', () => {
  const text = fc
    .tuple(fc.string({ unit: 'binary', maxLength: 8 }), fc.nat({ max: 12_000 }))
    .map(([unit, times]) => unit.repeat(times));
  const path = fc.tuple(fc.string({ unit: 'binary', maxLength: 8 }), fc.nat({ max: 60 })).map(([u, n]) => u.repeat(n));
  const change = fc.record({
    path,
    previousPath: fc.option(path),
    status: fc.constant('MODIFIED' as const),
    additions: fc.option(fc.nat()),
    deletions: fc.constant(null),
  });
  const artifact = fc.record({
    id: fc.uuid(),
    name: path,
    contentType: fc.constant('text/plain'),
    sizeBytes: fc.nat(),
    sha256: fc.constant('f'.repeat(64)),
  });
  const lists = { size: 'max', maxLength: 1_000 } as const;
  fc.assert(
    fc.property(text, text, fc.array(change, lists), fc.array(artifact, lists), (output, message, changes, files) => {
      const error = failure('AGENT_ERROR', 'AGENT', message);
      const input = { output, error, filesChanged: changes, artifacts: files };
      const body = bodyOf(input);
      expect(Buffer.byteLength(body)).toBeLessThanOrEqual(MAX_CALLBACK_BYTES);
      const { result } = JSON.parse(body) as CallbackPayload;
      expect(result.output_truncated).toBe(result.output !== output);
      expect(output.startsWith(result.output ?? 'x')).toBe(true);
      expect(bodyOf(input)).toBe(body);
    }),
    // Shrinking a counterexample of this size would take minutes.
    { numRuns: 40, endOnFailure: true },
  );
});
