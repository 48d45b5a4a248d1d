import { z } from 'zod';

/** The two that OpenCode and Slipway know without being told where they are. */
const KNOWN: ReadonlySet<string> = new Set(['anthropic', 'openai']);

const provider = z.looseObject({
  options: z
    .looseObject({
      baseURL: z.url('must be a URL').optional(),
      apiKey: z.never('must not be written here: set OPENCODE_API_KEY, or a credential of the project').optional(),
    })
    .default({}),
});

const providers = z
  .record(z.string().regex(/^[a-z0-9][a-z0-9_-]{0,62}$/i, 'must be a name'), provider)
  .superRefine((found, context) => {
    for (const [name, { options }] of Object.entries(found)) {
      if (options.baseURL || KNOWN.has(name)) continue;
      context.addIssue({ code: 'custom', path: [name, 'options', 'baseURL'], message: 'is missing' });
    }
  });

/** The text of SLIPWAY_OPENCODE_PROVIDERS -> OpenCode's own `provider` settings, without keys. */
export const opencodeProviders = z
  .string()
  .default('{}')
  .transform((text, context) => {
    try {
      const result = providers.safeParse(JSON.parse(text));
      if (result.success) return result.data;
      for (const { path, message } of result.error.issues) context.addIssue(`${path.join('.')} ${message}`.trim());
    } catch {
      context.addIssue('must be JSON');
    }
    return z.NEVER;
  });
