import type { Protocol } from './protocol.ts';
import type { Refusal } from './scripts.ts';

interface OpenAiError {
  readonly message: string;
  readonly type: string;
  readonly code: string | null;
}

const REFUSALS: Readonly<Record<Refusal, readonly [status: number, error: OpenAiError]>> = {
  bad_request: [400, { message: "Invalid type for 'input'.", type: 'invalid_request_error', code: 'invalid_type' }],
  wrong_key: [
    401,
    { message: 'Incorrect API key provided: test-key.', type: 'invalid_request_error', code: 'invalid_api_key' },
  ],
  forbidden: [
    403,
    { message: 'You have insufficient permissions for this operation.', type: 'invalid_request_error', code: null },
  ],
  no_such_model: [
    404,
    {
      message: 'The model `none` does not exist or you do not have access to it.',
      type: 'invalid_request_error',
      code: 'model_not_found',
    },
  ],
  rate_limit: [
    429,
    { message: 'Rate limit reached for requests. Too Many Requests.', type: 'requests', code: 'rate_limit_exceeded' },
  ],
  server_error: [
    500,
    { message: 'The server had an error while processing your request.', type: 'server_error', code: null },
  ],
  overloaded: [
    503,
    { message: 'The engine is currently overloaded, please try again later.', type: 'server_error', code: null },
  ],
  no_credit: [
    429,
    {
      message: 'You exceeded your current quota, please check your plan and billing details.',
      type: 'insufficient_quota',
      code: 'insufficient_quota',
    },
  ],
  too_long: [
    400,
    {
      message: 'Your input exceeds the context window of this model. Please adjust your input and try again.',
      type: 'invalid_request_error',
      code: 'context_length_exceeded',
    },
  ],
};

/** As the Responses and the Chat Completions API do. */
export const refuseAsOpenAi: Protocol['refuse'] = (refusal) => {
  const [status, error] = REFUSALS[refusal];
  return { status, body: { error } };
};
