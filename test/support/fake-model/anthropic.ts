/** The Anthropic Messages API, streamed. */
import { type Answer, type Content, type Frame, newId, type Protocol, parametersOf, textOf } from './protocol.ts';

interface Body {
  readonly model: string;
  readonly messages: readonly { readonly role: 'user' | 'assistant'; readonly content: Content }[];
  readonly tools?: readonly { readonly name: string; readonly input_schema?: { readonly properties?: object } }[];
}

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
  error: ({ type, message }) => ({ type: 'error', error: { type, message } }),
};

function* events({ model, text, calls, usage }: Answer): Generator<{ type: string; [field: string]: unknown }> {
  const { input: input_tokens, output: output_tokens } = usage;
  const message = { id: newId('msg'), type: 'message', role: 'assistant', model, content: [] };
  const spent = { input_tokens, output_tokens: 1, cache_read_input_tokens: 0, cache_creation_input_tokens: 0 };
  yield { type: 'message_start', message: { ...message, stop_reason: null, stop_sequence: null, usage: spent } };
  let index = 0;
  if (text !== null) {
    yield { type: 'content_block_start', index, content_block: { type: 'text', text: '' } };
    yield { type: 'content_block_delta', index, delta: { type: 'text_delta', text } };
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
  const stop_reason = calls.length > 0 ? 'tool_use' : 'end_turn';
  yield { type: 'message_delta', delta: { stop_reason, stop_sequence: null }, usage: { output_tokens } };
  yield { type: 'message_stop' };
}
