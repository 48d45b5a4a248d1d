/** What a build's pod is made of: the project goes before the template, the template before the operator. */
import type { Config } from '../config/config.ts';
import { imageMatches } from '../std/image-reference.ts';
import { parseQuantity, type Resource } from '../std/quantity.ts';
import type { Project } from './project.ts';
import type { Template } from './template.ts';
import type { WorkspaceSettings } from './workspace-input.ts';

export type WorkspaceRules = Pick<Config, 'runtime' | 'kubernetesImage' | 'kubernetesAllowedImages' | 'kubernetesPod'>;

const FIELDS = ['image', 'cpu', 'memory', 'storage'] as const;
type Field = (typeof FIELDS)[number];

/** Null where nobody asks for something: then it is as the runtime makes it by default. */
export interface WorkspaceNeeds extends Readonly<Record<Field, string | null>> {
  readonly from: Readonly<Record<Field, 'project' | 'template' | 'operator'>>;
}

export interface WorkspaceProblem {
  readonly field: Field;
  /** A sentence that says what is allowed. */
  readonly message: string;
  readonly code: 'IMAGE_DENIED' | 'OVER_MAXIMUM';
}

interface Askers {
  readonly project: Pick<Project, 'settings'>;
  readonly template: Pick<Template, 'workspace'> | null;
}

/**
 * The rules are those of now, not of the day on which the project was saved or the template was written: what they no
 * longer allow is not ok, and `message` says what and who asks for it.
 */
export function workspaceNeeds(
  rules: WorkspaceRules,
  { project, template }: Askers,
): { readonly ok: true; readonly needs: WorkspaceNeeds } | { readonly ok: false; readonly message: string } {
  const ofProject = project.settings.workspace ?? {};
  const ofTemplate = template?.workspace ?? {};
  const source = (field: Field) =>
    typeof ofProject[field] === 'string' ? 'project' : typeof ofTemplate[field] === 'string' ? 'template' : 'operator';
  const asked = (field: Field) => ofProject[field] ?? ofTemplate[field] ?? null;
  const needs: WorkspaceNeeds = {
    image: asked('image'),
    cpu: asked('cpu'),
    memory: asked('memory'),
    storage: asked('storage'),
    from: { image: source('image'), cpu: source('cpu'), memory: source('memory'), storage: source('storage') },
  };
  const [problem] = workspaceProblems(rules, needs);
  if (!problem) return { ok: true, needs };
  return {
    ok: false,
    message: `The ${problem.field} that the ${needs.from[problem.field]} asks for: ${problem.message}`,
  };
}

/** What the operator does not allow. On the local runtime none of it has an effect, so all of it is allowed. */
export function workspaceProblems(rules: WorkspaceRules, asked: WorkspaceSettings): WorkspaceProblem[] {
  if (rules.runtime === 'local') return [];
  return FIELDS.flatMap((field) => {
    const value = asked[field];
    if (typeof value !== 'string') return [];
    return field === 'image' ? imageProblems(rules, value) : amountProblems(rules, field, value);
  });
}

function imageProblems(rules: WorkspaceRules, image: string): WorkspaceProblem[] {
  const { kubernetesImage, kubernetesAllowedImages: patterns } = rules;
  if (image === kubernetesImage || patterns.some((pattern) => imageMatches(pattern, image))) return [];
  const allowed = [...(kubernetesImage ? [kubernetesImage] : []), ...patterns].join(', ');
  const message = `Builds may not run in the image ${image}. Allowed: ${allowed}.`;
  return [{ field: 'image', message, code: 'IMAGE_DENIED' }];
}

function amountProblems({ kubernetesPod }: WorkspaceRules, field: Resource, asked: string): WorkspaceProblem[] {
  const maximum = kubernetesPod.maximum[field === 'storage' ? 'ephemeral-storage' : field];
  if ((parseQuantity(field, asked) ?? 0) <= (parseQuantity(field, maximum) ?? 0)) return [];
  const message = `${asked} is more than a build may have here: at most ${maximum}.`;
  return [{ field, message, code: 'OVER_MAXIMUM' }];
}
