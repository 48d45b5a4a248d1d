/** The Anthropic Messages API, streamed. */
import { type Answer, type Content, type Frame, newId, type Protocol, parametersOf, textOf } from './protocol.ts';
import type { Refusal } from './scripts.ts';

interface Body {
  readonly model: string;
  readonly messages: readonly { readonly role: 'user' | 'assistant'; readonly content: Content }[];
  readonly tools?: readonly { readonly name: string; readonly input_schema?: { readonly properties?: object } }[];
}

const REFUSALS: Readonly<Record<Refusal, readonly [status: number, type: string, message: string]>> = {
  bad_request: [400, 'invalid_request_error', 'messages.0.content: Input should be a valid list'],
  wrong_key: [401, 'authentication_error', 'invalid x-api-key'],
  forbidden: [403, 'permission_error', 'Your API key does not have permission to use the specified resource.'],
  no_such_model: [404, 'not_found_error', 'there is no such model'],
  rate_limit: [429, 'rate_limit_error', 'This request would exceed the rate limit of your organization.'],
  server_error: [500, 'api_error', 'Internal server error'],
  overloaded: [529, 'overloaded_error', 'Overloaded'],
  no_credit: [
    400,
    'invalid_request_error',
    'Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to purchase credits.',
  ],
  too_long: [400, 'invalid_request_error', 'prompt is too long: 250000 tokens > 200000 maximum'],
};

const STOP_REASONS = { cut_off: 'max_tokens', refused: 'refusal' } as const;

export const anthropic: Protocol = {
  path: /\/messages$/,
  read(body) {
    const { model, messages, tools = [] } = body as Body;
    return {
      model,
      messages: messages.map(({ role, content }) => ({ role, text: textOf(content) })),
      tools: tools.map(({ name, input_schema }) => ({ name, parameters: parametersOf(input_schema) })),
    };
  },
  *stream(answer) {
    for (const data of events(answer)) yield { event: data.type, data } satisfies Frame;
  },
  refuse(refusal) {
    const [status, type, message] = REFUSALS[refusal];
    return { status, body: { type: 'error', error: { type, message } } };
  },
};

function* events({ model, text, calls, end, usage }: Answer): Generator<{ type: string; [field: string]: unknown }> {
  const { input: input_tokens, output: output_tokens } = usage;
  const message = { id: newId('msg'), type: 'message', role: 'assistant', model, content: [] };
  const spent = { input_tokens, output_tokens: 1, cache_read_input_tokens: 0, cache_creation_input_tokens: 0 };
  yield { type: 'message_start', message: { ...message, stop_reason: null, stop_sequence: null, usage: spent } };
  let index = 0;
  if (text !== null) {
    yield { type: 'content_block_start', index, content_block: { type: 'text', text: '' } };
    yield { type: 'content_block_delta', index, delta: { type: 'text_delta', text } };
    if (end === 'stalled') return;
    yield { type: 'content_block_stop', index: index++ };
  }
  for (const { tool, input } of calls) {
    const content_block = { type: 'tool_use', id: newId('toolu'), name: tool, input: {} };
    yield { type: 'content_block_start', index, content_block };
    yield {
      type: 'content_block_delta',
      index,
      delta: { type: 'input_json_delta', partial_json: JSON.stringify(input) },
    };
    yield { type: 'content_block_stop', index: index++ };
  }
  const ended = calls.length > 0 ? 'tool_use' : 'end_turn';
  const stop_reason = end === 'cut_off' || end === 'refused' ? STOP_REASONS[end] : ended;
  yield { type: 'message_delta', delta: { stop_reason, stop_sequence: null }, usage: { output_tokens } };
  yield { type: 'message_stop' };
}
