/**
 * A build's part of a trace. Its span is named by the build's id, so that whoever runs, delivers or ends it can say what
 * it is a part of, in any process and before that span is there: it is sent by who ends the build.
 */

import { formatTraceparent, newTrace, parseTraceparent, type TraceIds } from '../telemetry/trace-ids.ts';
import { currentTrace } from '../telemetry/trace-scope.ts';

/** For the row of a new build: the span that asks for it; outside of any, a trace that nobody keeps. */
export function newBuildTrace(): string {
  return formatTraceparent(currentTrace() ?? newTrace());
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
