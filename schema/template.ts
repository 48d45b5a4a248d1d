/** Templates, and the dry run of a build. */
import { type BuildCheck, type BuildValidation, validateBuild } from '../src/builds/validate-build.ts';
import { type Template, type TemplateVariable, templateReference } from '../src/projects/template.ts';
import { documentOf } from './build-document.ts';
import { BuildSpecInputRef, BuildSpecRef } from './build-spec.ts';
import { builder, EMBEDDED_LIST } from './builder.ts';
import { requireBuild, requireProjectId } from './ids.ts';
import { VALIDATION_COMPLEXITY } from './limits.ts';
import { InputIssueRef } from './user-errors.ts';
import { WorkspaceRef } from './workspace.ts';

const TemplateVariableRef = builder.objectRef<TemplateVariable>('TemplateVariable').implement({
  description: 'A variable that a template declares.',
  fields: (t) => ({
    name: t.exposeString('name', { description: 'Its name.' }),
    description: t.exposeString('description', { description: 'What it is for.' }),
    required: t.exposeBoolean('required', { description: 'It must be given.' }),
    default: t.exposeString('default', { nullable: true, description: 'Its value when it is not given.' }),
    pattern: t.exposeString('pattern', {
      nullable: true,
      description: 'A regular expression that the whole value must match.',
    }),
  }),
});

const TemplateRef = builder.objectRef<Template>('ProjectTemplate').implement({
  description: 'A versioned project skeleton with declared variables.',
  fields: (t) => ({
    reference: t.string({ description: '`name@version`.', resolve: (template) => templateReference(template) }),
    name: t.exposeString('name', { description: 'Its name.' }),
    version: t.exposeString('version', { description: 'MAJOR.MINOR.PATCH' }),
    description: t.exposeString('description', { description: 'What it makes.' }),
    variables: t.field({
      type: [TemplateVariableRef],
      description: 'What it asks for.',
      complexity: EMBEDDED_LIST,
      resolve: ({ variables }) => [...variables],
    }),
    artifacts: t.field({
      type: ['String'],
      description: 'Globs of the files that its builds keep.',
      resolve: ({ artifacts }) => [...artifacts],
    }),
    workspace: t.field({
      type: WorkspaceRef,
      description: 'What its builds ask of their pods, if the project asks for nothing else.',
      resolve: ({ workspace }) => workspace,
    }),
  }),
});

const BuildCheckRef = builder.objectRef<BuildCheck>('BuildCheck').implement({
  description: 'One thing that a build needs.',
  fields: (t) => ({
    name: t.exposeString('name', { description: '`project`, `spec`, `budget`, `worker` or `provider`.' }),
    ok: t.exposeBoolean('ok', { description: 'It is there.' }),
    message: t.exposeString('message', { description: 'What was found, or what to do about it.' }),
  }),
});

const BuildValidationRef = builder.objectRef<BuildValidation>('BuildValidation').implement({
  description: 'What startBuild would do, without doing it.',
  fields: (t) => ({
    ready: t.exposeBoolean('ready', { description: 'It would be accepted, and a worker could begin at once.' }),
    resolvedPrompt: t.exposeString('resolvedPrompt', {
      nullable: true,
      description: 'What the agent would be told; null when the spec is refused.',
    }),
    spec: t.field({
      type: BuildSpecRef,
      nullable: true,
      description: 'The spec with every default and variable filled in; null when it is refused.',
      resolve: ({ spec }) => spec && documentOf(spec),
    }),
    checks: t.field({
      type: [BuildCheckRef],
      description: 'What a build needs, one by one.',
      complexity: EMBEDDED_LIST,
      resolve: ({ checks }) => [...checks],
    }),
    issues: t.field({
      type: [InputIssueRef],
      description: 'Everything that startBuild would refuse; empty when it would accept.',
      complexity: EMBEDDED_LIST,
      resolve: ({ issues }) => [...issues],
    }),
  }),
});

builder.queryFields((t) => ({
  templates: t.field({
    type: [TemplateRef],
    description: 'Every template in every version.',
    authScopes: { scope: 'builds:read' },
    resolve: (_root, _args, { orchestrator }) => [...orchestrator.templates],
  }),
  validateBuild: t.field({
    type: BuildValidationRef,
    description: 'A dry run of startBuild: the resolved prompt and spec, what is missing, what would be refused.',
    complexity: VALIDATION_COMPLEXITY,
    authScopes: { scope: 'builds:read' },
    args: {
      projectId: t.arg.id({ required: true, description: 'The project.' }),
      spec: t.arg({ type: BuildSpecInputRef, required: true, description: 'What to do.' }),
      resumeFrom: t.arg.id({ description: "Go on with the agent's session of this finished build, as in startBuild." }),
    },
    resolve: async (_root, { projectId: id, spec, resumeFrom }, context) => {
      const projectId = requireProjectId(context.viewer, id);
      const earlier = resumeFrom ? await requireBuild(context, resumeFrom) : null;
      return validateBuild(context.orchestrator, { projectId, spec, resumeFrom: earlier?.id });
    },
  }),
}));
