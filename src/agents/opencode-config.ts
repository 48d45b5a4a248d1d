/** Which provider a build's model is of, where that is, and what OpenCode is told of it. */
import type { ModelKey } from './agent.ts';
import { fieldsOf, textOf } from './json-fields.ts';

/** OpenCode's own `provider` settings, by the provider's name: `{ "ollama": { "npm": …, "options": { "baseURL": … } } }`. */
export type OpenCodeProviders = Readonly<Record<string, Readonly<Record<string, unknown>>>>;

export interface OpenCodeAccess {
  readonly providers: OpenCodeProviders;
  /** The model of builds that name none: `provider/model`. */
  readonly model: string | null;
  readonly anthropic: { readonly apiKey: string | null; readonly baseUrl: string | null };
  readonly openai: { readonly apiKey: string | null; readonly baseUrl: string | null };
  /** For providers that have no key of their own here. */
  readonly apiKey: string | null;
}

export interface OpenCodeModel {
  readonly providerID: string;
  readonly modelID: string;
  readonly baseUrl: string;
  /** Null: the provider needs none. */
  readonly key: string | null;
  /** `provider` settings of OpenCode for this provider alone. */
  readonly settings: Readonly<Record<string, unknown>>;
}

export type ChosenModel =
  | { readonly ok: true; readonly model: OpenCodeModel }
  | { readonly ok: false; readonly message: string };

export const OPENCODE_KEY = 'OPENCODE_API_KEY';

const ANTHROPIC = 'https://api.anthropic.com';
const OPENAI = 'https://api.openai.com/v1';

/** `modelKey` is of the project and goes before every other. */
export function chooseModel(access: OpenCodeAccess, wanted: string | null, modelKey: ModelKey | null): ChosenModel {
  const name = wanted ?? access.model;
  if (name === null) {
    const remedy =
      'Name one as provider/model in the build or the project, or set SLIPWAY_OPENCODE_MODEL on the worker.';
    return { ok: false, message: `OpenCode needs a model. ${remedy}` };
  }
  const slash = name.indexOf('/');
  const providerID = name.slice(0, slash);
  const modelID = name.slice(slash + 1);
  if (slash < 1 || modelID === '') {
    return { ok: false, message: `The model ${name} must be named as provider/model for OpenCode.` };
  }
  const found = findProvider(access, providerID);
  if (!found) {
    const known = ['anthropic', 'openai', ...Object.keys(access.providers)];
    const remedy = `Known are ${[...new Set(known)].join(', ')}; SLIPWAY_OPENCODE_PROVIDERS adds others.`;
    return { ok: false, message: `The provider ${providerID} is not known to OpenCode on this worker. ${remedy}` };
  }
  const { key, baseUrl } = modelKey
    ? { key: modelKey.key, baseUrl: modelKey.baseUrl ?? found.baseUrl }
    : { key: found.key ?? access.apiKey, baseUrl: found.baseUrl };
  const options = {
    ...fieldsOf(found.settings.options),
    baseURL: baseUrl,
    ...(key === null ? {} : { apiKey: `{env:${OPENCODE_KEY}}` }),
  };
  const models = { [modelID]: {}, ...fieldsOf(found.settings.models) };
  return {
    ok: true,
    model: { providerID, modelID, baseUrl, key, settings: { ...found.settings, options, models } },
  };
}

/**
 * What of the machine reaches the session. The model's provider is the only one, and nothing is fetched or run.
 * `asking`: permissions that are asked for. Subagents take rules that ask from here only, not from their parent's session.
 */
export function openCodeConfig(
  { providerID, modelID, settings }: OpenCodeModel,
  asking: readonly string[],
): Readonly<Record<string, unknown>> {
  return {
    permission: Object.fromEntries(asking.map((permission) => [permission, 'ask'])),
    // A denial also denies what the same step asks besides, and would end the turn with it.
    experimental: { continue_loop_on_deny: true },
    model: `${providerID}/${modelID}`,
    // Titles and summaries.
    small_model: `${providerID}/${modelID}`,
    enabled_providers: [providerID],
    provider: { [providerID]: settings },
    share: 'disabled',
    autoupdate: false,
    snapshot: false,
    formatter: false,
    lsp: false,
  };
}

function findProvider(access: OpenCodeAccess, providerID: string) {
  const settings = access.providers[providerID] ?? {};
  const configured = textOf(fieldsOf(settings.options)?.baseURL);
  if (providerID === 'anthropic') {
    const { apiKey, baseUrl } = access.anthropic;
    return { settings, key: apiKey, baseUrl: configured ?? `${(baseUrl ?? ANTHROPIC).replace(/\/$/, '')}/v1` };
  }
  if (providerID === 'openai') {
    const { apiKey, baseUrl } = access.openai;
    return { settings, key: apiKey, baseUrl: configured ?? baseUrl ?? OPENAI };
  }
  if (configured === null) return null;
  return { settings, key: null, baseUrl: configured };
}
