import type { AgentReason } from './agent.ts';

/** What the provider answered, in Claude Code's words: an HTTP status, its name for the error, its sentence. */
export interface ApiFailure {
  /** Null when there was no answer. */
  readonly status: number | null;
  /** `authentication_failed`, `billing_error`, `rate_limit`, `overloaded`, `server_error`, `max_output_tokens` … */
  readonly error: string | null;
  readonly text: string;
}

/** The first rule that fits. The order matters: a 400 may be an empty account, a 529 is also called `server_error`. */
const RULES: readonly (readonly [AgentReason, (failure: ApiFailure) => boolean])[] = [
  ['billing', ({ status, error, text }) => status === 402 || error === 'billing_error' || /credit balance/i.test(text)],
  ['auth', ({ status, error }) => status === 401 || status === 403 || error === 'authentication_failed'],
  ['auth', ({ text }) => /not logged in|invalid api key/i.test(text)],
  ['output_truncated', ({ error }) => error === 'max_output_tokens'],
  ['rate_limit', ({ status, error, text }) => status === 429 || error === 'rate_limit' || /usage limit/i.test(text)],
  ['overloaded', ({ status, error }) => status === 529 || error === 'overloaded'],
  ['server_error', ({ status }) => status !== null && status >= 500],
  ['context_overflow', ({ status, text }) => status === 413 || /prompt is too long/i.test(text)],
  ['config', ({ status }) => status === 404],
  ['network', ({ status, text }) => status === null && /connect|network|socket|tim(ed |e)out|fetch failed/i.test(text)],
  ['server_error', ({ error }) => error === 'server_error'],
  ['agent_error', ({ status }) => status !== null],
];

export function apiReason(failure: ApiFailure): AgentReason {
  return RULES.find(([, fits]) => fits(failure))?.[0] ?? 'unknown';
}
