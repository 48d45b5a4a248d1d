/** Which trace something belongs to, as W3C Trace Context writes it: https://www.w3.org/TR/trace-context/ */
import { randomHex } from '../std/random-ids.ts';

export interface TraceIds {
  /** 32 lower-case hex digits. */
  readonly traceId: string;
  /** 16 lower-case hex digits: the span that what follows is a part of. */
  readonly spanId: string;
  /** Is the trace kept? Whoever follows goes by that. */
  readonly sampled: boolean;
}

const TRACEPARENT = /^(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;
const MAX_LENGTH = 256;
const TRACE_BYTES = 16;
const SPAN_BYTES = 8;

/** Null when there is none, or it is not valid: then a new trace begins. */
export function parseTraceparent(header: string | null | undefined): TraceIds | null {
  if (!header || header.length > MAX_LENGTH) return null;
  const [, traceId, spanId, flags, rest] = TRACEPARENT.exec(header) ?? [];
  if (traceId === undefined || spanId === undefined || flags === undefined) return null;
  // What later versions add is theirs; version 00 ends here.
  if (header.startsWith('00') && rest !== undefined) return null;
  return { traceId, spanId, sampled: (Number.parseInt(flags, 16) & 1) === 1 };
}

/** `00-<trace id>-<span id>-<01 or 00>`: 55 characters. */
export function formatTraceparent({ traceId, spanId, sampled }: TraceIds): string {
  return `00-${traceId}-${spanId}-${sampled ? '01' : '00'}`;
}

/** A trace that nobody has begun, and that nobody keeps: its id still ties log lines together. */
export function newTrace(): TraceIds {
  const digits = randomHex(TRACE_BYTES + SPAN_BYTES);
  return { traceId: digits.slice(0, 2 * TRACE_BYTES), spanId: digits.slice(2 * TRACE_BYTES), sampled: false };
}
