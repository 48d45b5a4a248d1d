/** `streamGenerateContent` of the Gemini API. */
import { type Content, type Protocol, parametersOf, textOf } from './protocol.ts';

interface Schema {
  readonly properties?: object;
}

interface Body {
  readonly contents?: readonly { readonly role?: string; readonly parts: Content }[];
  readonly tools?: readonly {
    readonly functionDeclarations?: readonly {
      readonly name: string;
      readonly parameters?: Schema;
      readonly parametersJsonSchema?: Schema;
    }[];
  }[];
}

export const gemini: Protocol = {
  path: /:streamGenerateContent$/,
  read(body, path) {
    const { contents = [], tools = [] } = body as Body;
    const functions = tools.flatMap(({ functionDeclarations = [] }) => functionDeclarations);
    return {
      model: /models\/([^:]+)/.exec(path)?.[1] ?? '',
      messages: contents.map(({ role, parts }) => ({
        role: role === 'model' ? ('assistant' as const) : ('user' as const),
        text: textOf(parts),
      })),
      tools: functions.map(({ name, parameters, parametersJsonSchema }) => ({
        name,
        parameters: parametersOf(parametersJsonSchema ?? parameters),
      })),
    };
  },
  *stream({ model, text, calls, usage: { input, output } }) {
    const usageMetadata = { promptTokenCount: input, candidatesTokenCount: output, totalTokenCount: input + output };
    const frame = (parts: readonly object[], more: object) => ({
      event: null,
      data: {
        candidates: [{ content: { role: 'model', parts }, index: 0, ...more }],
        modelVersion: model,
        usageMetadata,
      },
    });
    if (text !== null) yield frame([{ text }], {});
    yield frame(
      calls.map(({ tool, input: args }) => ({ functionCall: { name: tool, args } })),
      { finishReason: 'STOP' },
    );
  },
  error: ({ status, type, message }) => ({ error: { code: status, message, status: type } }),
};
