/** The OpenAI Responses API, streamed. */
import { refuseAsOpenAi } from './openai-refusals.ts';
import {
  type Answer,
  type Content,
  type Message,
  newId,
  type Protocol,
  parametersOf,
  type Tool,
  textOf,
} from './protocol.ts';

interface Item {
  readonly type?: string;
  readonly role?: string;
  readonly content?: Content;
  readonly tools?: readonly Announced[];
}

interface Announced {
  readonly type: string;
  readonly name?: string;
  readonly parameters?: { readonly properties?: object };
  /** Of a namespace. */
  readonly tools?: readonly Announced[];
}

const INCOMPLETE = { cut_off: 'max_output_tokens', refused: 'content_filter' } as const;

/** Where a model writes programs that call the tools, this one runs them; `tools.exec_command` is there then. */
const PROGRAM = 'exec';

interface Body {
  readonly model: string;
  readonly input: string | readonly Item[];
  readonly instructions?: string;
  readonly tools?: readonly Announced[];
}

export const openaiResponses: Protocol = {
  path: /\/responses$/,
  read(body) {
    const { model, input, tools = [] } = body as Body;
    const items: readonly Item[] = typeof input === 'string' ? [{ role: 'user', content: input }] : input;
    return {
      model,
      messages: items.map(toMessage),
      tools: [...tools, ...items.flatMap((item) => item.tools ?? [])].flatMap(toTools),
    };
  },
  *stream(answer) {
    for (const data of events(answer)) yield { event: data.type, data };
  },
  refuse: refuseAsOpenAi,
};

function toTools({ type, name, parameters, tools }: Announced): Tool[] {
  if (tools) return tools.flatMap(toTools).map((tool) => ({ ...tool, namespace: name }));
  if (type === 'custom' && name === PROGRAM) return [{ name: PROGRAM, parameters: ['cmd', 'yield_time_ms'] }];
  return [{ name: name ?? type, parameters: parametersOf(parameters) }];
}

/** A call of a tool is an item of its own, and its result is one of nobody. */
function toMessage({ type, role, content }: Item): Message {
  const isCall = type === 'function_call' || type === 'custom_tool_call';
  if (isCall || role === 'assistant') return { role: 'assistant', text: textOf(content) };
  return { role: role === 'user' ? 'user' : 'other', text: textOf(content) };
}

function* events({ model, text, calls, end, usage }: Answer): Generator<{ type: string; [field: string]: unknown }> {
  const output: object[] = [];
  const response = { id: newId('resp'), object: 'response', created_at: 0, status: 'in_progress', model, output };
  yield { type: 'response.created', response };
  if (text !== null) {
    const message = { id: newId('msg'), type: 'message', status: 'in_progress', role: 'assistant', content: [] };
    const place = { output_index: 0, item_id: message.id, content_index: 0 };
    const part = { type: 'output_text', text, annotations: [] };
    yield { type: 'response.output_item.added', output_index: 0, item: message };
    yield { type: 'response.content_part.added', ...place, part: { ...part, text: '' } };
    yield { type: 'response.output_text.delta', ...place, delta: text };
    if (end === 'stalled') return;
    yield { type: 'response.output_text.done', ...place, text };
    const item = { ...message, status: 'completed', content: [part] };
    yield { type: 'response.output_item.done', output_index: 0, item };
    output.push(item);
  }
  for (const { tool, namespace, input } of calls) {
    const call = { id: newId('fc'), call_id: newId('call'), name: tool, namespace, status: 'completed' };
    const argument = JSON.stringify(input);
    const item =
      tool === PROGRAM
        ? { ...call, type: 'custom_tool_call', input: `text(await tools.exec_command(${argument}));` }
        : { ...call, type: 'function_call', arguments: argument };
    const output_index = output.length;
    yield { type: 'response.output_item.added', output_index, item: { ...item, status: 'in_progress' } };
    yield { type: 'response.output_item.done', output_index, item };
    output.push(item);
  }
  const { input: input_tokens, output: output_tokens } = usage;
  const details = { input_tokens_details: { cached_tokens: 0 }, output_tokens_details: { reasoning_tokens: 0 } };
  const total = { input_tokens, output_tokens, total_tokens: input_tokens + output_tokens, ...details };
  if (end === 'cut_off' || end === 'refused') {
    const incomplete_details = { reason: INCOMPLETE[end] };
    yield {
      type: 'response.incomplete',
      response: { ...response, status: 'incomplete', incomplete_details, usage: total },
    };
  } else {
    yield { type: 'response.completed', response: { ...response, status: 'completed', usage: total } };
  }
}
