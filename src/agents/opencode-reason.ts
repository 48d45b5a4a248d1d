import type { AgentReason } from './agent.ts';
import { apiReason } from './api-reason.ts';
import { fieldsOf, type JsonFields, numberOf, textOf } from './json-fields.ts';

/** An error as OpenCode stores it with a message, or tells it of a session. */
export interface OpenCodeError {
  /** `APIError`, `MessageAbortedError`, `ContextOverflowError`, `UnknownError` … */
  readonly name: string;
  /** HTTP status of the provider; null when there was no answer. */
  readonly status: number | null;
  readonly text: string;
}

const NAMES: Readonly<Record<string, AgentReason>> = {
  ContentFilterError: 'refusal',
  ContextOverflowError: 'context_overflow',
  MessageAbortedError: 'cancelled',
  MessageOutputLengthError: 'output_truncated',
  ProviderAuthError: 'auth',
};

/** Sentences that say more than a status does, in the order in which they are tried. */
const TEXTS: readonly (readonly [AgentReason, RegExp])[] = [
  ['billing', /insufficient_quota|billing|credit|payment required/i],
  ['auth', /api key is missing|invalid api key/i],
  ['config', /(model|agent|provider) not found|no (such )?model/i],
];

/** Of a retry only the sentence is known. */
const RETRY_TEXTS: readonly (readonly [AgentReason, RegExp])[] = [
  ['billing', /insufficient_quota|billing|credit balance/i],
  ['rate_limit', /rate.?limit|too many requests|slow down|quota|usage (limit|exceeded)/i],
  ['overloaded', /overload|capacity|unavailable/i],
  ['network', /connect|network|socket|tim(ed |e)out|fetch failed/i],
];

export function readError(value: unknown): OpenCodeError | null {
  const error: JsonFields | null = fieldsOf(value);
  if (!error) return null;
  const data = fieldsOf(error.data);
  return {
    name: textOf(error.name) ?? 'UnknownError',
    status: numberOf(data?.statusCode),
    text: textOf(data?.message) ?? textOf(error.message) ?? '',
  };
}

export function errorReason({ name, status, text }: OpenCodeError): AgentReason {
  const said = TEXTS.find(([, pattern]) => pattern.test(text))?.[0];
  const reason = NAMES[name] ?? said ?? apiReason({ status, error: null, text });
  return reason === 'unknown' ? 'agent_error' : reason;
}

export function retryReason(text: string): AgentReason {
  return RETRY_TEXTS.find(([, pattern]) => pattern.test(text))?.[0] ?? 'server_error';
}
