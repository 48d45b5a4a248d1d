/** What builds of a spec cannot have where they run, by the rules of now: a retry is asked as a start is. */
import { networkLimit } from '../projects/pod-limits.ts';
import type { Project } from '../projects/project.ts';
import { findTemplate, type TemplateCatalogue } from '../projects/template.ts';
import { type WorkspaceRules, workspaceNeeds } from '../projects/workspace-needs.ts';
import { ALL_OF_THE_NETWORK } from '../std/network-access.ts';
import type { BuildSpec } from './build-spec.ts';

export interface RuntimeLimit {
  /** Of the spec. */
  readonly field: 'template' | 'network';
  readonly message: string;
  readonly code: string;
}

/** Empty where nothing is against it, or only a worker knows. */
export function runtimeLimits(
  { config, templates }: { readonly config: WorkspaceRules; readonly templates: TemplateCatalogue },
  project: Pick<Project, 'settings'>,
  spec: Pick<BuildSpec, 'template' | 'network'>,
): RuntimeLimit[] {
  const limits: RuntimeLimit[] = [];
  const template = spec.template === null ? null : findTemplate(templates, spec.template);
  const workspace = workspaceNeeds(config, { project, template });
  if (!workspace.ok) limits.push({ field: 'template', message: workspace.message, code: 'WORKSPACE_DENIED' });
  const network = networkLimit(config, spec.network ?? ALL_OF_THE_NETWORK);
  if (network) limits.push({ field: 'network', message: network, code: 'NETWORK_UNSUPPORTED' });
  return limits;
}
