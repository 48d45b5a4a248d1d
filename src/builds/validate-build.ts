/** Dry run: what startBuild would do with this input, and whether it could run now. Writes nothing. */
import { sql } from 'kysely';
import type { Agent } from '../agents/agent.ts';
import { hasModelKey } from '../credentials/credential.ts';
import type { Database } from '../database/database.ts';
import { BuildStateError, type InputIssue, InvalidInputError, NotFoundError } from '../errors.ts';
import { repositoryLimit } from '../projects/pod-limits.ts';
import { findProject, type Project } from '../projects/project.ts';
import { renderPrompt } from '../projects/render-template.ts';
import { findTemplate, type TemplateCatalogue } from '../projects/template.ts';
import { toPublicId } from '../std/public-id.ts';
import { type DayBudget, readDayBudget } from './budget.ts';
import type { BuildSpec, BuildSpecInput } from './build-spec.ts';
import { LEASE_SECONDS } from './lease.ts';
import { resolveFollowUp } from './resolve-follow-up.ts';
import { defaultProvider, type ResolveSpecDeps, resolveSpec } from './resolve-spec.ts';

export interface ValidateBuildDeps extends ResolveSpecDeps {
  readonly db: Database;
  readonly agents: ReadonlyMap<string, Agent>;
}

export interface BuildCheck {
  readonly name: 'project' | 'spec' | 'budget' | 'worker' | 'provider';
  readonly ok: boolean;
  /** What was found, or what to do about it. */
  readonly message: string;
}

export interface BuildValidation {
  /** startBuild would accept it, and a worker could begin at once. */
  readonly ready: boolean;
  /** Null when the spec is refused. */
  readonly resolvedPrompt: string | null;
  readonly spec: BuildSpec | null;
  readonly checks: readonly BuildCheck[];
  /** Everything that startBuild would refuse. */
  readonly issues: readonly InputIssue[];
}

export interface ValidateBuildInput {
  readonly projectId: string;
  readonly spec: BuildSpecInput;
  /** Go on with the agent's session of this build. */
  readonly resumeFrom?: string | null | undefined;
}

/** Throws NotFoundError when there is no such project or build; everything else that is wrong is in the answer. */
export async function validateBuild(deps: ValidateBuildDeps, input: ValidateBuildInput): Promise<BuildValidation> {
  const project = await findProject(deps.db, input.projectId);
  if (!project) throw new NotFoundError('project', toPublicId('project', input.projectId));
  const resolved = await resolve(deps, project, input);
  const issues = [...resolved.issues];
  const projectCheck = checkProject(deps, project);
  if (!projectCheck.ok) issues.push({ path: ['projectId'], message: projectCheck.message });
  const budgetCheck = checkBudget(await readDayBudget(deps.db, project.id));
  if (!budgetCheck.ok) issues.push({ path: ['projectId'], message: budgetCheck.message });
  const wanted = resolved.spec?.provider ?? input.spec.provider ?? project.settings.provider;
  const workers = await findLiveWorkers(deps.db);
  const checks = [
    projectCheck,
    checkSpec(resolved.issues),
    budgetCheck,
    checkWorkers(workers),
    await checkProvider(deps, { project, wanted: wanted ?? defaultProvider(deps), workers }),
  ];
  const ready = issues.length === 0 && checks.every((check) => check.ok);
  return { ready, resolvedPrompt: resolved.prompt, spec: resolved.spec, checks, issues };
}

interface Resolved {
  readonly spec: BuildSpec | null;
  readonly prompt: string | null;
  readonly issues: readonly InputIssue[];
}

async function resolve(
  deps: ValidateBuildDeps,
  project: Project,
  { spec: asked, resumeFrom }: ValidateBuildInput,
): Promise<Resolved> {
  const refused = (issues: readonly InputIssue[]): Resolved => ({ spec: null, prompt: null, issues });
  try {
    const spec = resumeFrom
      ? await resolveFollowUp(deps, project, { resumeFrom, spec: asked, path: [] })
      : resolveSpec(deps, project, asked, ['spec']);
    return { spec, prompt: resolvePrompt(deps.templates, spec), issues: [] };
  } catch (error) {
    if (error instanceof InvalidInputError) return refused(error.issues);
    if (error instanceof BuildStateError) return refused([{ path: ['resumeFrom'], message: error.message }]);
    throw error;
  }
}

function resolvePrompt(templates: TemplateCatalogue, spec: BuildSpec): string {
  const template = spec.template === null ? null : findTemplate(templates, spec.template);
  return template ? renderPrompt(template, spec.prompt, spec.variables) : spec.prompt;
}

function checkProject({ config }: ValidateBuildDeps, { status, repositoryUrl }: Project): BuildCheck {
  const inactive = status === 'ACTIVE' ? null : `The project is ${status}, so it takes no builds.`;
  const problem = inactive ?? repositoryLimit(config, repositoryUrl);
  return { name: 'project', ok: problem === null, message: problem ?? 'The project is active.' };
}

function checkSpec(issues: readonly InputIssue[]): BuildCheck {
  const ok = issues.length === 0;
  return { name: 'spec', ok, message: ok ? 'The spec is complete.' : 'The spec is refused: see issues.' };
}

function checkBudget({ leftUsd, leftTokens, usedUp }: DayBudget): BuildCheck {
  const left = [leftUsd === null ? null : `$${leftUsd}`, leftTokens === null ? null : `${leftTokens} tokens`];
  const limits = left.filter((limit) => limit !== null).join(' and ');
  const message = usedUp ?? (limits ? `Left for today: ${limits}.` : 'The project has no budget of the day.');
  return { name: 'budget', ok: usedUp === null, message };
}

interface LiveWorker {
  readonly name: string;
  readonly providers: readonly { readonly provider: string; readonly version: string; readonly keyed?: boolean }[];
  readonly agents: readonly { readonly name: string; readonly reason: string | null; readonly remedy: string | null }[];
}

/** At most 1,000, which is enough to know who can run what. */
async function findLiveWorkers(db: Database): Promise<LiveWorker[]> {
  return db
    .selectFrom('workers')
    .select(['name', 'providers', 'agents'])
    .where('stopped_at', 'is', null)
    .where('draining_at', 'is', null)
    .where('cordoned_at', 'is', null)
    .where('heartbeat_at', '>', sql<Date>`now() - make_interval(secs => ${LEASE_SECONDS})`)
    .limit(1_000)
    .execute();
}

function checkWorkers(workers: readonly LiveWorker[]): BuildCheck {
  const ok = workers.length > 0;
  const message = ok ? `Workers online: ${workers.length}.` : 'No worker is online: the build would wait for one.';
  return { name: 'worker', ok, message };
}

async function checkProvider(
  deps: ValidateBuildDeps,
  asked: { readonly project: Project; readonly wanted: string; readonly workers: readonly LiveWorker[] },
): Promise<BuildCheck> {
  const { project, wanted, workers } = asked;
  const check = (ok: boolean, message: string): BuildCheck => ({ name: 'provider', ok, message });
  const agent = deps.agents.get(wanted);
  const variable = agent?.modelKey?.variable ?? null;
  const hasKey = variable !== null && (await hasModelKey(deps.db, { projectId: project.id, variable }));
  for (const worker of workers) {
    const found = worker.providers.find(({ provider }) => provider === wanted);
    if (!found) continue;
    if (hasKey || found.keyed !== false)
      return check(true, `${wanted} ${found.version} is available on ${worker.name}.`);
    const remedy = `Set a credential for ${variable ?? 'it'} (setCredential), or give the worker one.`;
    return check(false, `${wanted} is available on ${worker.name} and has no key there. ${remedy}`);
  }
  if (!agent) return check(false, `There is no provider ${wanted}. Known: ${deps.providers.join(', ')}.`);
  return check(false, `No worker that is online can run ${wanted}.${whyNot(wanted, workers)}`);
}

/** What the first worker says that knows the agent and cannot run it. */
function whyNot(wanted: string, workers: readonly LiveWorker[]): string {
  for (const worker of workers) {
    const report = worker.agents.find(({ name }) => name === wanted);
    if (report?.reason) return ` On ${worker.name}: ${report.reason} ${report.remedy ?? ''}`.trimEnd();
  }
  return '';
}
