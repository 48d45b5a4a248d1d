/** The OpenAI Chat Completions API, streamed: also what Ollama and other servers speak. */
import { type Content, newId, type Protocol, parametersOf, textOf } from './protocol.ts';

interface Body {
  readonly model: string;
  readonly messages: readonly { readonly role: string; readonly content?: Content }[];
  readonly tools?: readonly { readonly function: { readonly name: string; readonly parameters?: object } }[];
}

export const openaiChat: Protocol = {
  path: /\/chat\/completions$/,
  read(body) {
    const { model, messages, tools = [] } = body as Body;
    return {
      model,
      messages: messages.map(({ role, content }) => ({
        role: role === 'user' || role === 'assistant' ? role : 'other',
        text: textOf(content),
      })),
      tools: tools.map(({ function: { name, parameters } }) => ({ name, parameters: parametersOf(parameters) })),
    };
  },
  *stream({ model, text, calls, usage: { input, output } }) {
    const base = { id: newId('chatcmpl'), object: 'chat.completion.chunk', created: 0, model };
    const chunk = (delta: object, finish_reason: string | null = null) => ({
      event: null,
      data: { ...base, choices: [{ index: 0, delta, finish_reason }] },
    });
    yield chunk({ role: 'assistant', content: text ?? '' });
    for (const [index, { tool, input: args }] of calls.entries()) {
      const call = { index, id: newId('call'), type: 'function' };
      yield chunk({ tool_calls: [{ ...call, function: { name: tool, arguments: JSON.stringify(args) } }] });
    }
    yield chunk({}, calls.length > 0 ? 'tool_calls' : 'stop');
    const usage = { prompt_tokens: input, completion_tokens: output, total_tokens: input + output };
    yield { event: null, data: { ...base, choices: [], usage } };
  },
  error: ({ type, message }) => ({ error: { message, type, code: null } }),
};
