/** What a caller sent, the project's settings and the defaults -> a complete spec, or every issue at once. */
import type { Agent } from '../agents/agent.ts';
import type { Config } from '../config/config.ts';
import { type InputIssue, InvalidInputError, inputIssues } from '../errors.ts';
import { toNetworkAccess } from '../projects/network-input.ts';
import type { Project } from '../projects/project.ts';
import { resolveVariables } from '../projects/resolve-variables.ts';
import { QUEUE_ALL } from '../projects/supersede-input.ts';
import { findTemplate, type TemplateCatalogue, templateReference } from '../projects/template.ts';
import type { WorkspaceRules } from '../projects/workspace-needs.ts';
import { ALL_OF_THE_NETWORK } from '../std/network-access.ts';
import { outboundUrlProblem } from '../std/outbound-url.ts';
import { sharedCode } from '../std/shared-code.ts';
import { smaller } from './budget.ts';
import {
  type BuildLimits,
  type BuildSpec,
  type BuildSpecInput,
  buildSpecInput,
  DEFAULT_LIMITS,
  type Interaction,
  UNATTENDED,
} from './build-spec.ts';
import { runtimeLimits } from './runtime-limits.ts';

export interface ResolveSpecDeps {
  readonly config: Pick<Config, 'defaultProvider' | 'callbackAllowPrivate' | 'network'> & WorkspaceRules;
  readonly templates: TemplateCatalogue;
  /** Names of the agents that this Slipway knows; the first is the default where the configuration names none. */
  readonly providers: readonly string[];
  readonly agents: ReadonlyMap<string, Pick<Agent, 'capabilities'>>;
}

type Refuse = (at: readonly string[], message: string, code?: string) => void;

export type SpecProject = Pick<Project, 'defaultBranch' | 'template' | 'settings'>;

/** Throws InvalidInputError; its paths begin with `path`. */
export function resolveSpec(
  deps: ResolveSpecDeps,
  project: SpecProject,
  input: BuildSpecInput,
  path: readonly string[],
): BuildSpec {
  const parsed = buildSpecInput.safeParse(input);
  if (!parsed.success) {
    const codes = parsed.error.issues.map((issue) => (issue.code === 'custom' ? issue.params?.code : undefined));
    throw new InvalidInputError(inputIssues(parsed.error, path), sharedCode(codes));
  }
  const asked = parsed.data;
  const issues: (InputIssue & { code?: string })[] = [];
  const refuse: Refuse = (at, message, code) =>
    issues.push({ path: [...path, ...at], message, ...(code ? { code } : {}) });

  const provider = asked.provider ?? project.settings.provider ?? defaultProvider(deps);
  if (!deps.providers.includes(provider)) {
    refuse(['provider'], `There is no provider ${provider}. Known: ${deps.providers.join(', ')}.`, 'UNKNOWN_PROVIDER');
  }

  const callbackUrl = asked.callbackUrl ?? project.settings.callbackUrl ?? null;
  const urlProblem =
    callbackUrl !== null &&
    outboundUrlProblem(callbackUrl, { allowPrivate: deps.config.callbackAllowPrivate ?? false });
  if (urlProblem) refuse(['callbackUrl'], urlProblem, 'CALLBACK_URL_DENIED');

  const given = Object.fromEntries((asked.variables ?? []).map(({ name, value }) => [name, value]));
  const { template, variables } = resolveTemplate(deps.templates, asked.template ?? project.template, given, refuse);

  const concurrencyKey = asked.concurrencyKey ?? null;
  if (asked.supersede?.by === 'KEY' && asked.supersede.policy !== 'QUEUE' && concurrencyKey === null) {
    refuse(['supersede', 'by'], 'A build that is superseded by key needs a concurrencyKey.');
  }

  const interaction = resolveInteraction(asked.interaction ?? {});
  refuseWhatCannotBeAsked(deps, provider, interaction, refuse);

  const supersede = asked.supersede ?? project.settings.supersede ?? QUEUE_ALL;
  const askedNetwork = asked.network ?? project.settings.network;
  const network = askedNetwork ? toNetworkAccess(askedNetwork) : deps.config.network;
  for (const limit of runtimeLimits(deps, project, { template, network })) {
    refuse([limit.field], limit.message, limit.code);
  }
  const perBuildUsd = project.settings.budget?.perBuildUsd ?? null;
  if (perBuildUsd !== null && (asked.limits?.maxCostUsd ?? 0) > perBuildUsd) {
    refuse(['limits', 'maxCostUsd'], `must be at most ${perBuildUsd}, the project's budget of a build`, 'OVER_BUDGET');
  }
  if (issues.length > 0) throw new InvalidInputError(issues, sharedCode(issues.map((issue) => issue.code)));
  return {
    prompt: asked.prompt,
    template,
    variables,
    autoCommit: asked.autoCommit ?? true,
    autoPush: asked.autoPush ?? true,
    callbackUrl,
    provider,
    model: asked.model ?? project.settings.model ?? null,
    branch: asked.branch ?? project.defaultBranch,
    priority: asked.priority ?? 0,
    labels: Object.fromEntries((asked.labels ?? []).map(({ key, value }) => [key, value])),
    limits: resolveLimits(asked.limits ?? {}, project.settings),
    ...whatIsSpecial({ concurrencyKey, runsOn: asked.runsOn ?? [], network, interaction, supersede }),
    runAfter: asked.runAfter?.toISOString() ?? null,
    resumeSessionOf: null,
  };
}

type Special = Pick<BuildSpec, 'concurrencyKey' | 'runsOn' | 'network' | 'interaction' | 'supersede'>;

/** Without what is meant where it is absent. */
function whatIsSpecial({ concurrencyKey, runsOn, network, interaction, supersede }: Required<Special>): Special {
  return {
    ...(concurrencyKey !== null && { concurrencyKey }),
    ...(runsOn.length > 0 && { runsOn }),
    ...(!isSame(network, ALL_OF_THE_NETWORK) && { network }),
    ...(!isSame(interaction, UNATTENDED) && { interaction }),
    ...(!isSame(supersede, QUEUE_ALL) && { supersede }),
  };
}

/** Of members without members of their own, but for a list that is empty in the second. */
function isSame<T extends object>(one: T, other: T): boolean {
  return (Object.keys(other) as (keyof T)[]).every((key) => {
    const [a, b] = [one[key], other[key]];
    return Array.isArray(a) ? a.length === 0 : a === b;
  });
}

/** Of builds and projects that name none. */
export function defaultProvider({ config, providers }: Pick<ResolveSpecDeps, 'config' | 'providers'>): string {
  const provider = config.defaultProvider ?? providers[0];
  if (provider === undefined) throw new Error('there is no agent');
  return provider;
}

function resolveTemplate(
  catalogue: TemplateCatalogue,
  reference: string | null,
  given: Readonly<Record<string, string>>,
  refuse: Refuse,
): Pick<BuildSpec, 'template' | 'variables'> {
  if (reference === null) {
    const names = Object.keys(given);
    if (names.length > 0) refuse(['variables'], `Without a template there are no variables: ${names.join(', ')}.`);
    return { template: null, variables: {} };
  }
  const template = findTemplate(catalogue, reference);
  if (!template) {
    const known = catalogue.map((candidate) => candidate.name).join(', ');
    refuse(['template'], `There is no template ${reference}. Known: ${known}.`, 'UNKNOWN_TEMPLATE');
    return { template: null, variables: {} };
  }
  const resolved = resolveVariables(template, given);
  if (!resolved.ok) {
    for (const issue of resolved.issues) refuse(issue.path, issue.message);
    return { template: null, variables: {} };
  }
  return { template: templateReference(template), variables: resolved.values };
}

function resolveInteraction(asked: NonNullable<BuildSpecInput['interaction']>): Interaction {
  return {
    questions: asked.questions ?? UNATTENDED.questions,
    approvals: asked.approvals ?? UNATTENDED.approvals,
    waitSeconds: asked.waitSeconds ?? UNATTENDED.waitSeconds,
    defaultAnswer: asked.defaultAnswer ?? UNATTENDED.defaultAnswer,
    defaultDecision: asked.defaultDecision ?? UNATTENDED.defaultDecision,
  };
}

function refuseWhatCannotBeAsked(
  { agents }: Pick<ResolveSpecDeps, 'agents'>,
  provider: string,
  interaction: Interaction,
  refuse: Refuse,
): void {
  const able = agents.get(provider)?.capabilities;
  if (!able) return;
  const others = (capability: 'questions' | 'permissions') =>
    [...agents].flatMap(([name, { capabilities }]) => (capabilities[capability] ? [name] : [])).join(', ');
  if (interaction.questions && !able.questions) {
    const message = `${provider} cannot ask questions while it runs. Agents that can: ${others('questions')}.`;
    refuse(['interaction', 'questions'], message, 'CANNOT_ASK');
  }
  if (interaction.approvals && !able.permissions) {
    const message = `${provider} cannot ask before it uses a tool. Agents that can: ${others('permissions')}.`;
    refuse(['interaction', 'approvals'], message, 'CANNOT_ASK');
  }
}

type PartialLimits = { [K in keyof BuildLimits]?: BuildLimits[K] | null | undefined };

function resolveLimits(asked: PartialLimits, settings: SpecProject['settings']): BuildLimits {
  const project: PartialLimits = settings.limits ?? {};
  const maxCostUsd = asked.maxCostUsd ?? project.maxCostUsd ?? DEFAULT_LIMITS.maxCostUsd;
  return {
    wallSeconds: asked.wallSeconds ?? project.wallSeconds ?? DEFAULT_LIMITS.wallSeconds,
    silenceSeconds: asked.silenceSeconds ?? project.silenceSeconds ?? DEFAULT_LIMITS.silenceSeconds,
    lingerSeconds: asked.lingerSeconds ?? project.lingerSeconds ?? DEFAULT_LIMITS.lingerSeconds,
    maxRetries: asked.maxRetries ?? project.maxRetries ?? DEFAULT_LIMITS.maxRetries,
    maxTurns: asked.maxTurns ?? project.maxTurns ?? DEFAULT_LIMITS.maxTurns,
    maxTokens: asked.maxTokens ?? project.maxTokens ?? DEFAULT_LIMITS.maxTokens,
    maxCostUsd: smaller(maxCostUsd, settings.budget?.perBuildUsd),
  };
}
