import type { AgentReason } from './agent.ts';

/** What a provider answered, in the words of the agent that asked it: an HTTP status, a name for the error, a sentence. */
export interface ApiFailure {
  /** Null when there was no answer. */
  readonly status: number | null;
  /** Claude Code's names: `authentication_failed`, `billing_error`, `rate_limit`, `overloaded`, `max_output_tokens` … */
  readonly error: string | null;
  readonly text: string;
}

const NO_CREDIT = /credit balance|credits are depleted/i;
const CUT_OFF = /reason: max_output_tokens|exceeded the \d+ output token maximum/;
const REFUSED = /reason: content_filter|blocked due to safety/;
const NO_MODEL = /models\/\S+ is not found|\bmodel\b.{0,200} (?:does|may) not exist/i;
const OVERLOADED = /\boverloaded\b|at capacity|experiencing high demand/i;
const TOO_LONG = /prompt is too long|context window|context length|exceeds the maximum number of tokens/i;

/** The first rule that fits. The order matters: a 400 may be an empty account, a 529 is also called `server_error`. */
const RULES: readonly (readonly [AgentReason, (failure: ApiFailure) => boolean])[] = [
  ['billing', ({ status, error, text }) => status === 402 || error === 'billing_error' || NO_CREDIT.test(text)],
  ['auth', ({ status, error }) => status === 401 || status === 403 || error === 'authentication_failed'],
  ['auth', ({ text }) => /not logged in|invalid api key|api key not valid|missing environment variable/i.test(text)],
  ['output_truncated', ({ error, text }) => error === 'max_output_tokens' || CUT_OFF.test(text)],
  ['refusal', ({ text }) => REFUSED.test(text)],
  ['rate_limit', ({ status, error, text }) => status === 429 || error === 'rate_limit' || /usage limit/i.test(text)],
  ['overloaded', ({ status, error }) => status === 529 || error === 'overloaded'],
  ['overloaded', ({ status, text }) => (status === null || status >= 500) && OVERLOADED.test(text)],
  ['server_error', ({ status }) => status !== null && status >= 500],
  ['context_overflow', ({ status, text }) => status === 413 || TOO_LONG.test(text)],
  ['config', ({ status, text }) => status === 404 || NO_MODEL.test(text)],
  ['network', ({ status, text }) => status === null && /connect|network|socket|tim(ed |e)out|fetch failed/i.test(text)],
  ['server_error', ({ error }) => error === 'server_error'],
  ['agent_error', ({ status }) => status !== null],
];

export function apiReason(failure: ApiFailure): AgentReason {
  return RULES.find(([, fits]) => fits(failure))?.[0] ?? 'unknown';
}
