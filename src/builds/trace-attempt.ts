/** One attempt as a part of its build's trace: what the worker does for it is logged and traced under it. */
import { toPublicId } from '../std/public-id.ts';
import { newTrace } from '../telemetry/trace-ids.ts';
import { enterStage, withScope } from '../telemetry/trace-scope.ts';
import type { ClaimedBuild } from './build.ts';
import { buildTrace } from './build-trace.ts';
import type { RunBuildDeps } from './running-build.ts';

/** Runs `work`, which resolves with what became of the attempt; reports the build's end if it was that. */
export function traceAttempt<T extends string>(
  deps: Pick<RunBuildDeps, 'telemetry' | 'openLedger'>,
  build: ClaimedBuild,
  work: () => Promise<T | 'finished'>,
): Promise<T | 'finished'> {
  const { tracing } = deps.telemetry;
  const { id, attemptNo, createdAt, startedAt, spec } = build;
  const parent = buildTrace(build) ?? newTrace();
  if (attemptNo === 1 && startedAt) {
    const readyAt = new Date(Math.max(createdAt.getTime(), spec.runAfter ? Date.parse(spec.runAfter) : 0));
    tracing.start({ name: 'queue', parent, startedAt: readyAt }).end(startedAt);
  }
  const attributes = { 'slipway.attempt': attemptNo, 'cicd.worker.id': toPublicId('worker', build.workerId) };
  const span = { name: 'attempt', parent, kind: 'consumer', attributes } as const;
  const fields = { build: toPublicId('build', id), attempt: attemptNo };
  return withScope({ tracing, span, fields }, async (scope) => {
    enterStage(build.phase);
    const end = await work();
    scope.set({ 'slipway.attempt.outcome': end });
    const reason = end === 'finished' ? await deps.openLedger(build).ask('reportEnd') : null;
    if (reason) scope.fail(reason);
    return end;
  });
}
