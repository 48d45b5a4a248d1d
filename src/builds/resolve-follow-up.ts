/** What a build is that goes on with the agent's session of an earlier one. */
import type { Database } from '../database/database.ts';
import { BuildStateError, type InputIssue, InvalidInputError, NotFoundError } from '../errors.ts';
import type { Project } from '../projects/project.ts';
import { toPublicId } from '../std/public-id.ts';
import { type Build, findBuild, isFinished } from './build.ts';
import type { BuildSpec, BuildSpecInput } from './build-spec.ts';
import { type ResolveSpecDeps, resolveSpec } from './resolve-spec.ts';

export interface FollowUpDeps extends ResolveSpecDeps {
  readonly db: Database;
}

export interface FollowUp {
  /** UUID of the earlier build. */
  readonly resumeFrom: string;
  readonly spec: BuildSpecInput;
  /** Of the input that has both, for what is wrong with them. */
  readonly path: readonly string[];
}

/**
 * A complete spec. Agent, model, branch, template and variables are by default those of the earlier build; a session
 * belongs to its agent and its branch, so these two cannot be others. Throws NotFoundError, BuildStateError (it is not
 * finished, or has no session) or InvalidInputError.
 */
export async function resolveFollowUp(
  deps: FollowUpDeps,
  project: Project,
  { resumeFrom, spec: asked, path }: FollowUp,
): Promise<BuildSpec> {
  const earlier = await findBuild(deps.db, resumeFrom);
  if (!earlier) throw new NotFoundError('build', toPublicId('build', resumeFrom));
  if (earlier.projectId !== project.id) {
    throw new InvalidInputError([{ path: [...path, 'resumeFrom'], message: 'It is a build of another project.' }]);
  }
  if (!isFinished(earlier.status)) {
    const message = `The build is still ${earlier.status}: go on with its session when it has ended.`;
    throw new BuildStateError(earlier.status, message);
  }
  const spec = resolveSpec(deps, defaultsOf(project, earlier), withVariables(asked, earlier), [...path, 'spec']);
  const issues = findIssues(deps, spec, earlier).map((issue) => ({ ...issue, path: [...path, ...issue.path] }));
  if (issues.length > 0) throw new InvalidInputError(issues, 'CANNOT_RESUME');
  if (!earlier.result?.sessionId) {
    throw new BuildStateError(earlier.status, 'The build has no session to go on with: start one without resumeFrom.');
  }
  return { ...spec, resumeSessionOf: earlier.id };
}

/** What a spec says nothing of comes from the project: here, from the earlier build before it. */
function defaultsOf({ settings }: Project, { spec }: Build) {
  const model = spec.model ?? settings.model;
  return {
    defaultBranch: spec.branch,
    template: spec.template,
    settings: { ...settings, provider: spec.provider, ...(model ? { model } : {}) },
  };
}

/** The values of the earlier build, under those that are given now; another template has other variables. */
function withVariables(asked: BuildSpecInput, { spec }: Build): BuildSpecInput {
  if (asked.template) return asked;
  const given = asked.variables ?? [];
  const names = new Set(given.map(({ name }) => name));
  const kept = Object.entries(spec.variables).filter(([name]) => !names.has(name));
  return { ...asked, variables: [...kept.map(([name, value]) => ({ name, value })), ...given] };
}

/** Paths begin at the input. */
function findIssues({ agents }: FollowUpDeps, spec: BuildSpec, earlier: Build): InputIssue[] {
  const { provider, branch } = earlier.spec;
  const issues: InputIssue[] = [];
  const refuse = (path: readonly string[], message: string) => issues.push({ path, message });
  if (spec.provider !== provider) {
    refuse(['spec', 'provider'], `The session is one of ${provider}, and no other agent can go on with it.`);
  } else if (!agents.get(provider)?.capabilities.resume) {
    refuse(['resumeFrom'], `${provider} cannot go on with an earlier session: start the build without resumeFrom.`);
  }
  if (spec.branch !== branch) refuse(['spec', 'branch'], `The session is about the branch ${branch}.`);
  return issues;
}
