/** How a build ended. */
import type { BuildFailure, BuildResult, ResultArtifact } from '../src/builds/build-result.ts';
import type { ModelUsage, Usage } from '../src/events/event.ts';
import type { BuildPhase } from '../src/events/vocabulary.ts';
import type { CHANGE_STATUSES, FileChange } from '../src/git/changes.ts';
import { toPublicId } from '../src/std/public-id.ts';
import type { BuildDocument } from './build-document.ts';
import { builder, EMBEDDED_LIST } from './builder.ts';
import { BuildPhaseEnum, FailureReasonEnum, PublicationEnum, values } from './vocabulary.ts';

export const FailureRef = builder.objectRef<BuildFailure>('BuildFailure').implement({
  description: 'Why a build failed and what to do about it.',
  fields: (t) => ({
    reason: t.field({
      type: FailureReasonEnum,
      description: 'For programs.',
      resolve: ({ reason }) => reason,
    }),
    phase: t.field({ type: BuildPhaseEnum, description: 'Where it failed.', resolve: ({ phase }) => phase }),
    message: t.exposeString('message', { description: 'What happened, for people.' }),
    retryable: t.exposeBoolean('retryable', { description: 'The same build, started again, has a chance.' }),
    remedy: t.exposeString('remedy', { description: 'What to do.' }),
  }),
});

const ModelUsageRef = builder.objectRef<ModelUsage>('ModelUsage').implement({
  description: 'Tokens and money of one model. Null is unknown, which is not zero.',
  fields: (t) => ({
    model: t.exposeString('model', { description: "The model, in the agent's words." }),
    inputTokens: t.expose('inputTokens', { type: 'SafeInt', nullable: true, description: 'Tokens read.' }),
    outputTokens: t.expose('outputTokens', { type: 'SafeInt', nullable: true, description: 'Tokens written.' }),
    cacheReadTokens: t.expose('cacheReadTokens', {
      type: 'SafeInt',
      nullable: true,
      description: "Tokens read from the provider's cache.",
    }),
    cacheWriteTokens: t.expose('cacheWriteTokens', {
      type: 'SafeInt',
      nullable: true,
      description: "Tokens written to the provider's cache.",
    }),
    costUsd: t.exposeFloat('costUsd', { nullable: true, description: 'US dollars, as the agent reports them.' }),
  }),
});

export const UsageRef = builder.objectRef<Usage>('Usage').implement({
  description: 'Tokens and money. Null is unknown, which is not zero.',
  fields: (t) => ({
    inputTokens: t.expose('inputTokens', { type: 'SafeInt', nullable: true, description: 'Tokens read.' }),
    outputTokens: t.expose('outputTokens', { type: 'SafeInt', nullable: true, description: 'Tokens written.' }),
    cacheReadTokens: t.expose('cacheReadTokens', {
      type: 'SafeInt',
      nullable: true,
      description: "Tokens read from the provider's cache.",
    }),
    cacheWriteTokens: t.expose('cacheWriteTokens', {
      type: 'SafeInt',
      nullable: true,
      description: "Tokens written to the provider's cache.",
    }),
    costUsd: t.exposeFloat('costUsd', { nullable: true, description: 'US dollars, as the agent reports them.' }),
    turns: t.exposeInt('turns', { nullable: true, description: 'Turns of the agent.' }),
    models: t.field({
      type: [ModelUsageRef],
      description: 'The same by model; empty where the agent does not tell them apart. At most 50.',
      complexity: EMBEDDED_LIST,
      resolve: ({ models }) => [...(models ?? [])],
    }),
  }),
});

interface PhaseUsage {
  readonly phase: BuildPhase;
  readonly usage: Usage;
}

export const PhaseUsageRef = builder.objectRef<PhaseUsage>('PhaseUsage').implement({
  description: 'What one phase of a build has used.',
  fields: (t) => ({
    phase: t.field({ type: BuildPhaseEnum, description: 'The phase.', resolve: ({ phase }) => phase }),
    usage: t.field({ type: UsageRef, description: 'Tokens and money.', resolve: ({ usage }) => usage }),
  }),
});

const ChangeStatusEnum = builder.enumType('FileChangeStatus', {
  description: 'What happened to a file.',
  values: values<(typeof CHANGE_STATUSES)[number]>({
    ADDED: 'It is new.',
    MODIFIED: 'Its content or mode changed.',
    DELETED: 'It is gone.',
    RENAMED: 'It moved: see previousPath.',
  }),
});

const FileChangeRef = builder.objectRef<FileChange>('FileChange').implement({
  description: 'One changed file.',
  fields: (t) => ({
    path: t.exposeString('path', { description: 'Relative to the root of the repository.' }),
    previousPath: t.exposeString('previousPath', { nullable: true, description: 'Where a renamed file was before.' }),
    status: t.field({ type: ChangeStatusEnum, description: 'What happened to it.', resolve: ({ status }) => status }),
    additions: t.exposeInt('additions', { nullable: true, description: 'Lines added; null for a binary file.' }),
    deletions: t.exposeInt('deletions', { nullable: true, description: 'Lines removed; null for a binary file.' }),
  }),
});

const ResultArtifactRef = builder.objectRef<ResultArtifact>('ResultArtifact').implement({
  description: 'A file that was kept, as the callback reports it; `Build.artifacts` also has its URL.',
  fields: (t) => ({
    id: t.id({ description: 'The id of the Artifact.', resolve: ({ id }) => toPublicId('artifact', id) }),
    name: t.exposeString('name', { description: 'Its path in the checkout.' }),
    contentType: t.exposeString('contentType', { description: 'A media type, by its extension.' }),
    sizeBytes: t.expose('sizeBytes', { type: 'SafeInt', description: 'Bytes.' }),
    sha256: t.exposeString('sha256', { description: 'In lower-case hex.' }),
  }),
});

export const BuildResultRef = builder.objectRef<BuildDocument<BuildResult>>('BuildResult').implement({
  description: 'How a build ended: one shape for success and failure, the same as in the callback.',
  fields: (t) => ({
    success: t.boolean({ description: 'The build is COMPLETED.', resolve: (result) => result.read('success') }),
    output: t.string({
      nullable: true,
      description: "The agent's last answer, cut to 64 KiB.",
      resolve: (result) => result.read('output'),
    }),
    error: t.field({
      type: FailureRef,
      nullable: true,
      description: 'Why it failed; null when it did not.',
      resolve: (result) => result.read('error'),
    }),
    publication: t.field({
      type: PublicationEnum,
      description: 'What became of the changes.',
      resolve: (result) => result.read('publication'),
    }),
    commitSha: t.string({
      nullable: true,
      description: 'The commit; proved to be on the remote when publication is PUSHED.',
      resolve: (result) => result.read('commitSha'),
    }),
    commitUrl: t.string({
      nullable: true,
      description: 'A page for people, where the host of the repository is known to have one.',
      resolve: (result) => result.read('commitUrl'),
    }),
    branch: t.string({
      nullable: true,
      description: 'The branch that was built on.',
      resolve: (result) => result.read('branch'),
    }),
    filesChanged: t.field({
      type: [FileChangeRef],
      description: 'The changed files in the order of their paths, at most 5000.',
      complexity: EMBEDDED_LIST,
      resolve: async (result) => [...(await result.read('filesChanged'))],
    }),
    durationMs: t.field({
      type: 'SafeInt',
      description: 'Milliseconds from the first claim to the end; 0 when it never started.',
      resolve: (result) => result.read('durationMs'),
    }),
    artifacts: t.field({
      type: [ResultArtifactRef],
      description: 'Files that were kept.',
      complexity: EMBEDDED_LIST,
      resolve: async (result) => [...(await result.read('artifacts'))],
    }),
    usage: t.field({
      type: UsageRef,
      nullable: true,
      description: 'Tokens and money; null when the agent reports none.',
      resolve: (result) => result.read('usage'),
    }),
    sessionId: t.string({
      nullable: true,
      description: "The agent's session, which retryBuild(resumeSession: true) goes on with.",
      resolve: (result) => result.read('sessionId'),
    }),
  }),
});
