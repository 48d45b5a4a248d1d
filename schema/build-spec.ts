/** What is asked of a build, as it is sent and as it is read. */
import {
  type BuildLimits,
  type BuildSpec,
  type BuildSpecInput,
  completeLimits,
  UNATTENDED,
} from '../src/builds/build-spec.ts';
import { ALL_OF_THE_NETWORK } from '../src/std/network-access.ts';
import { toPublicId } from '../src/std/public-id.ts';
import type { BuildDocument } from './build-document.ts';
import { builder, EMBEDDED_LIST } from './builder.ts';
import { InteractionInput, InteractionRef } from './interaction.ts';
import { NetworkInput, NetworkRef } from './network.ts';

interface NamedValue {
  readonly name: string;
  readonly value: string;
}

interface KeyValue {
  readonly key: string;
  readonly value: string;
}

const VariableRef = builder.objectRef<NamedValue>('Variable').implement({
  description: 'The value of a variable of a template.',
  fields: (t) => ({
    name: t.exposeString('name', { description: 'As the template declares it.' }),
    value: t.exposeString('value', { description: 'The value given, or the default.' }),
  }),
});

export const LabelRef = builder.objectRef<KeyValue>('Label').implement({
  description: 'A label of a build: for filters and statistics.',
  fields: (t) => ({
    key: t.exposeString('key', { description: 'Letters, digits and `. _ / -`, at most 63.' }),
    value: t.exposeString('value', { description: 'Any text of at most 256 bytes.' }),
  }),
});

const LimitsRef = builder.objectRef<BuildLimits>('BuildLimits').implement({
  description: 'Where a build is stopped.',
  fields: (t) => ({
    wallSeconds: t.exposeInt('wallSeconds', { description: "Seconds from the agent's start to its end." }),
    silenceSeconds: t.exposeInt('silenceSeconds', { description: 'Seconds without any output of the agent.' }),
    lingerSeconds: t.exposeInt('lingerSeconds', {
      description: 'Seconds that the agent may live after its last word.',
    }),
    maxRetries: t.exposeInt('maxRetries', {
      description: 'Retries in a row of an agent whose provider refuses it or is not reached.',
    }),
    maxTurns: t.exposeInt('maxTurns', { nullable: true, description: 'Turns of the agent; null means any number.' }),
    maxTokens: t.expose('maxTokens', {
      type: 'SafeInt',
      nullable: true,
      description: 'Input and output tokens in all; null means any number.',
    }),
    maxCostUsd: t.exposeFloat('maxCostUsd', { nullable: true, description: 'US dollars; null means any amount.' }),
  }),
});

export const BuildSpecRef = builder.objectRef<BuildDocument<BuildSpec>>('BuildSpec').implement({
  description: 'What was asked for, complete: defaults filled in, the template pinned. It never changes.',
  fields: (t) => ({
    prompt: t.string({ description: 'What the agent is asked to do.', resolve: (spec) => spec.read('prompt') }),
    template: t.string({
      nullable: true,
      description: '`name@version`, pinned when the build was accepted.',
      resolve: (spec) => spec.read('template'),
    }),
    variables: t.field({
      type: [VariableRef],
      description: "The template's variables, all of them.",
      complexity: EMBEDDED_LIST,
      resolve: async (spec) => Object.entries(await spec.read('variables')).map(([name, value]) => ({ name, value })),
    }),
    autoCommit: t.boolean({
      description: 'Commit what the agent changed.',
      resolve: (spec) => spec.read('autoCommit'),
    }),
    autoPush: t.boolean({ description: 'Push the commit.', resolve: (spec) => spec.read('autoPush') }),
    callbackUrl: t.string({
      nullable: true,
      description: 'Who is told about the end.',
      resolve: (spec) => spec.read('callbackUrl'),
    }),
    provider: t.string({
      description: 'The agent: `claude-code`, `scripted`.',
      resolve: (spec) => spec.read('provider'),
    }),
    model: t.string({
      nullable: true,
      description: "The agent's model; null means its default.",
      resolve: (spec) => spec.read('model'),
    }),
    branch: t.string({
      description: 'The branch that is built on and pushed to.',
      resolve: (spec) => spec.read('branch'),
    }),
    priority: t.int({ description: 'Higher goes first: -100 to 100.', resolve: (spec) => spec.read('priority') }),
    labels: t.field({
      type: [LabelRef],
      description: 'For filters and statistics.',
      complexity: EMBEDDED_LIST,
      resolve: async (spec) => Object.entries(await spec.read('labels')).map(([key, value]) => ({ key, value })),
    }),
    concurrencyKey: t.string({
      nullable: true,
      description: 'Builds of the project with the same key run one at a time, or as many as their limit says.',
      resolve: async (spec) => (await spec.read('concurrencyKey')) ?? null,
    }),
    runsOn: t.stringList({
      description: 'Labels that its worker must have.',
      complexity: EMBEDDED_LIST,
      resolve: async (spec) => [...((await spec.read('runsOn')) ?? [])],
    }),
    limits: t.field({
      type: LimitsRef,
      description: 'Where it is stopped.',
      resolve: async (spec) => completeLimits(await spec.read('limits')),
    }),
    network: t.field({
      type: NetworkRef,
      description: 'What the agent may reach.',
      resolve: async (spec) => (await spec.read('network')) ?? ALL_OF_THE_NETWORK,
    }),
    interaction: t.field({
      type: InteractionRef,
      description: 'What the agent may ask people.',
      resolve: async (spec) => (await spec.read('interaction')) ?? UNATTENDED,
    }),
    runAfter: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'It does not start before this.',
      resolve: async (spec) => {
        const runAfter = await spec.read('runAfter');
        return runAfter === null ? null : new Date(runAfter);
      },
    }),
    resumeSessionOf: t.id({
      nullable: true,
      description: "The build whose agent's session this one goes on with.",
      resolve: async (spec) => {
        const resumed = await spec.read('resumeSessionOf');
        return resumed === null ? null : toPublicId('build', resumed);
      },
    }),
  }),
});

const VariableInput = builder.inputRef<NamedValue>('VariableInput').implement({
  description: 'A value for a variable that the template declares.',
  fields: (t) => ({
    name: t.string({ required: true, description: 'As the template declares it.' }),
    value: t.string({ required: true, description: 'At most 64 KiB; blank means the default.' }),
  }),
});

export const LabelInput = builder.inputRef<KeyValue>('LabelInput').implement({
  description: 'A label.',
  fields: (t) => ({
    key: t.string({ required: true, description: 'Letters, digits and `. _ / -`, at most 63.' }),
    value: t.string({ required: true, description: 'Any text of at most 256 bytes.' }),
  }),
});

export const LimitsInput = builder.inputRef<NonNullable<BuildSpecInput['limits']>>('BuildLimitsInput').implement({
  description: "Where a build is stopped. What is absent comes from the project, or is Slipway's default.",
  fields: (t) => ({
    wallSeconds: t.int({ description: "Seconds from the agent's start to its end: 1 to 86400, by default 3600." }),
    silenceSeconds: t.int({ description: 'Seconds without any output of the agent: 1 to 86400, by default 600.' }),
    lingerSeconds: t.int({
      description: 'Seconds that the agent may live after its last word: 1 to 86400, by default 30.',
    }),
    maxRetries: t.int({
      description:
        'Retries in a row of an agent whose provider refuses it or is not reached: 0 to 1000, by default 5. An agent ' +
        'may give up earlier by itself.',
    }),
    maxTurns: t.int({ description: 'Turns of the agent: 1 to 10000, by default any number.' }),
    maxTokens: t.field({
      type: 'SafeInt',
      description: 'Input and output tokens in all: 1 to 1000000000000, by default any number.',
    }),
    maxCostUsd: t.float({ description: 'US dollars, where the agent reports its cost; by default any amount.' }),
  }),
});

export const BuildSpecInputRef = builder.inputRef<BuildSpecInput>('BuildSpecInput').implement({
  description: "What an agent is asked to do. Only the prompt is needed; the rest comes from the project's settings.",
  fields: (t) => ({
    prompt: t.string({ required: true, description: 'What to do, in plain words: at most 1 MiB.' }),
    template: t.string({ description: "`name` for its newest version, or `name@version`; by default the project's." }),
    variables: t.field({ type: [VariableInput], description: 'Values for the variables of the template.' }),
    autoCommit: t.boolean({ description: 'Commit what the agent changed; by default true.' }),
    autoPush: t.boolean({ description: 'Push the commit; by default true.' }),
    callbackUrl: t.string({ description: "Who is told about the end, by signed HTTP; by default the project's." }),
    provider: t.string({ description: "The agent: `claude-code`, `scripted`; by default the project's." }),
    model: t.string({ description: "The agent's model; by default the project's, or the agent's own choice." }),
    branch: t.string({ description: "The branch to build on and push to; by default the project's default branch." }),
    priority: t.int({ description: 'Higher goes first: -100 to 100, by default 0.' }),
    labels: t.field({ type: [LabelInput], description: 'For filters and statistics: at most 32.' }),
    concurrencyKey: t.string({
      description:
        'Builds of the project with the same key run one at a time, or as many as their limit says: at most 200 bytes.',
    }),
    runsOn: t.stringList({
      description: 'Labels that the worker must have, such as `gpu` or `arch=arm64`: at most 10.',
    }),
    limits: t.field({ type: LimitsInput, description: 'Where it is stopped.' }),
    network: t.field({ type: NetworkInput, description: "What the agent may reach; by default the project's." }),
    interaction: t.field({ type: InteractionInput, description: 'What the agent may ask people; by default nothing.' }),
    runAfter: t.field({ type: 'DateTime', description: 'Do not start before this.' }),
  }),
});
