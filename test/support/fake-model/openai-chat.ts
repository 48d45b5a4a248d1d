/** The OpenAI Chat Completions API, streamed: also what Ollama and other servers speak. */
import { refuseAsOpenAi } from './openai-refusals.ts';
import { type Content, newId, type Protocol, parametersOf, textOf } from './protocol.ts';

interface Body {
  readonly model: string;
  readonly messages: readonly { readonly role: string; readonly content?: Content }[];
  readonly tools?: readonly { readonly function: { readonly name: string; readonly parameters?: object } }[];
}

const FINISHES = { cut_off: 'length', refused: 'content_filter' } as const;

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
  *stream({ model, text, calls, end, usage: { input, output } }) {
    const base = { id: newId('chatcmpl'), object: 'chat.completion.chunk', created: 0, model };
    const chunk = (delta: object, finish_reason: string | null = null) => ({
      event: null,
      data: { ...base, choices: [{ index: 0, delta, finish_reason }] },
    });
    yield chunk({ role: 'assistant', content: text ?? '' });
    if (end === 'stalled') return;
    for (const [index, { tool, input: args }] of calls.entries()) {
      const call = { index, id: newId('call'), type: 'function' };
      yield chunk({ tool_calls: [{ ...call, function: { name: tool, arguments: JSON.stringify(args) } }] });
    }
    const ended = calls.length > 0 ? 'tool_calls' : 'stop';
    yield chunk({}, end === 'cut_off' || end === 'refused' ? FINISHES[end] : ended);
    const usage = { prompt_tokens: input, completion_tokens: output, total_tokens: input + output };
    yield { event: null, data: { ...base, choices: [], usage } };
  },
  refuse: refuseAsOpenAi,
};
