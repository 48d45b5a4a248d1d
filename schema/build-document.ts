/** The spec or the result of a build: a field reads its member, and nobody reads what is not asked for. */
import type { BuildSummary } from '../src/builds/build.ts';
import type { BuildResult } from '../src/builds/build-result.ts';
import type { BuildSpec } from '../src/builds/build-spec.ts';
import type { Loaders } from './loaders.ts';

export interface BuildDocument<T> {
  read<K extends keyof T>(key: K): Promise<T[K]>;
}

export function specOf(loaders: Loaders, build: BuildSummary): BuildDocument<BuildSpec> {
  // These have columns of their own, so that the usual list of builds opens no spec.
  const { id: buildId, provider, template, branch, priority } = build;
  const known: Partial<BuildSpec> = { provider, template, branch, priority };
  return {
    read: async <K extends keyof BuildSpec>(key: K) =>
      (key in known ? known[key] : await loaders.spec.load({ buildId, key })) as BuildSpec[K],
  };
}

/** Of a build that is finished. */
export function resultOf(loaders: Loaders, buildId: string): BuildDocument<BuildResult> {
  return {
    read: async <K extends keyof BuildResult>(key: K) =>
      (await loaders.result.load({ buildId, key })) as BuildResult[K],
  };
}

/** Of what is in memory. */
export function documentOf<T>(value: T): BuildDocument<T> {
  return { read: async (key) => value[key] };
}
