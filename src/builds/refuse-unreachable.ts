import type { Config } from '../config/config.ts';
import { InvalidInputError } from '../errors.ts';
import { repositoryLimit } from '../projects/pod-limits.ts';
import type { Project } from '../projects/project.ts';

/** Throws InvalidInputError where no build reaches the project's repository; `path` is that of what names the project. */
export function refuseUnreachable(
  config: Pick<Config, 'runtime'>,
  { repositoryUrl }: Pick<Project, 'repositoryUrl'>,
  path: readonly string[],
): void {
  const message = repositoryLimit(config, repositoryUrl);
  if (message) throw new InvalidInputError([{ path, message }], 'REPOSITORY_OUT_OF_REACH');
}
