/** Which builds, and in which order: the inputs of lists and statistics. */
import type { Viewer } from '../src/auth/viewer.ts';
import type { BuildFilter } from '../src/builds/filter-builds.ts';
import { LabelInput } from './build-spec.ts';
import { builder } from './builder.ts';
import { checkText } from './check-text.ts';
import { visibleProjectIds } from './ids.ts';
import { BuildSourceEnum, BuildStatusEnum, OrderDirectionEnum } from './vocabulary.ts';

export const DateTimeRangeInput = builder.inputType('DateTimeRange', {
  description: 'A range of time; an end that is absent is open.',
  fields: (t) => ({
    from: t.field({ type: 'DateTime', description: 'The first moment.' }),
    to: t.field({ type: 'DateTime', description: 'The first moment after it.' }),
  }),
});

export const BuildFilterInput = builder.inputType('BuildFilter', {
  description: 'Every member that is present narrows the list.',
  fields: (t) => ({
    projectId: t.id({ description: 'Builds of this project.' }),
    status: t.field({ type: [BuildStatusEnum], description: 'Any of these.' }),
    provider: t.stringList({ description: 'Any of these agents.' }),
    source: t.field({ type: [BuildSourceEnum], description: 'Any of these.' }),
    template: t.string({ description: '`name@version`, or `name` for every version.' }),
    branch: t.string({ description: 'This branch.' }),
    number: t.int({ description: 'This number; useful together with a project.' }),
    label: t.field({ type: [LabelInput], description: 'All of these labels.' }),
    createdAt: t.field({ type: DateTimeRangeInput, description: 'Accepted in this range.' }),
  }),
});

const BuildOrderFieldEnum = builder.enumType('BuildOrderField', {
  description: 'What builds can be ordered by.',
  values: { CREATED_AT: { description: 'When they were accepted.' } },
});

export const BuildOrderInput = builder.inputType('BuildOrder', {
  description: 'The order of a list of builds.',
  fields: (t) => ({
    field: t.field({ type: BuildOrderFieldEnum, required: true, description: 'By what.' }),
    direction: t.field({ type: OrderDirectionEnum, required: true, description: 'Which way.' }),
  }),
});

/** Newest first, unless the order says otherwise. */
export function orderDirection(order: { readonly direction: 'ASC' | 'DESC' } | null | undefined): 'asc' | 'desc' {
  return order?.direction === 'ASC' ? 'asc' : 'desc';
}

/** What the viewer may see of what the input asks for. Throws InvalidInputError. */
export function toBuildFilter(
  viewer: Viewer,
  input: typeof BuildFilterInput.$inferInput | null | undefined,
): BuildFilter {
  const { projectId, status, provider, source, template, branch, number, label, createdAt } = input ?? {};
  checkText(template, ['filter', 'template']);
  checkText(branch, ['filter', 'branch']);
  for (const name of provider ?? []) checkText(name, ['filter', 'provider']);
  for (const { key, value } of label ?? []) checkText(key + value, ['filter', 'label']);
  return {
    projectIds: visibleProjectIds(viewer, projectId),
    statuses: status ?? null,
    providers: provider ?? null,
    sources: source ?? null,
    template: template ?? null,
    branch: branch ?? null,
    number: number ?? null,
    labels: label ?? null,
    createdFrom: createdAt?.from ?? null,
    createdTo: createdAt?.to ?? null,
  };
}
