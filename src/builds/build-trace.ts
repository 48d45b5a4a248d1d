/**
 * A build's part of a trace. Its span is named by the build's id, so that whoever runs, delivers or ends it can say what
 * it is a part of, in any process and before that span is there: it is sent by who ends the build.
 */

import { formatTraceparent, newTrace, parseTraceparent, type TraceIds } from '../telemetry/trace-ids.ts';
import { currentTrace } from '../telemetry/trace-scope.ts';

/** For the row of a new build: the trace that asks for it, or one of its own. */
export function newBuildTrace(buildId: string): string {
  return formatTraceparent(currentTrace() ?? { ...newTrace(), spanId: buildSpanId(buildId) });
}

/** The variant bits of a UUID are among them, so they are never all zeros. */
export function buildSpanId(buildId: string): string {
  return buildId.replaceAll('-', '').slice(-16);
}

/** What the parts of a build follow; null for one that is older than traces are. */
export function buildTrace(build: { readonly id: string; readonly traceparent: string | null }): TraceIds | null {
  const asked = parseTraceparent(build.traceparent);
  return asked && { ...asked, spanId: buildSpanId(build.id) };
}

/** The span that has asked for it; null when there is none. */
export function askedBy(build: { readonly id: string; readonly traceparent: string | null }): TraceIds | null {
  const asked = parseTraceparent(build.traceparent);
  return asked?.spanId === buildSpanId(build.id) ? null : asked;
}
