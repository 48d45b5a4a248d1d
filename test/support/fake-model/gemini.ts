/** `streamGenerateContent` of the Gemini API. */
import { type Content, type Protocol, parametersOf, textOf } from './protocol.ts';
import type { Refusal } from './scripts.ts';

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

const REFUSALS: Readonly<Record<Refusal, readonly [code: number, status: string, message: string]>> = {
  bad_request: [400, 'INVALID_ARGUMENT', 'Request contains an invalid argument.'],
  wrong_key: [401, 'UNAUTHENTICATED', 'Request had invalid authentication credentials.'],
  forbidden: [403, 'PERMISSION_DENIED', 'The caller does not have permission'],
  no_such_model: [404, 'NOT_FOUND', 'models/none is not found for API version v1beta.'],
  rate_limit: [429, 'RESOURCE_EXHAUSTED', 'Resource has been exhausted (e.g. check quota).'],
  server_error: [500, 'INTERNAL', 'An internal error has occurred.'],
  overloaded: [503, 'UNAVAILABLE', 'The model is overloaded. Please try again later.'],
  no_credit: [
    429,
    'RESOURCE_EXHAUSTED',
    'Your prepayment credits are depleted. Please manage your project and billing.',
  ],
  too_long: [
    400,
    'INVALID_ARGUMENT',
    'The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).',
  ],
};

const FINISHES = { cut_off: 'MAX_TOKENS', refused: 'SAFETY' } as const;

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
  *stream({ model, text, calls, end, usage: { input, output } }) {
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
    if (end === 'stalled') return;
    yield frame(
      calls.map(({ tool, input: args }) => ({ functionCall: { name: tool, args } })),
      { finishReason: end === 'cut_off' || end === 'refused' ? FINISHES[end] : 'STOP' },
    );
  },
  refuse(refusal) {
    const [code, status, message] = REFUSALS[refusal];
    return { status: code, body: { error: { code, message, status } } };
  },
};
