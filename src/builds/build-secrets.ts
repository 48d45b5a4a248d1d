import { callbackSecret } from '../credentials/callback-secret.ts';
import type { GitRemote } from '../git/git.ts';
import type { Project } from '../projects/project.ts';
import { MIN_SECRET_LENGTH } from '../runtimes/redact.ts';
import type { RunBuildDeps } from './running-build.ts';

/** Everything that no output of this build may show. Shorter ones are no secrets: they would blacken common words. */
export function buildSecrets(
  deps: Pick<RunBuildDeps, 'config' | 'masterKey'>,
  build: { readonly project: Project; readonly remote: GitRemote },
): string[] {
  const { project, remote } = build;
  const signing = callbackSecret(deps.masterKey, { projectId: project.id, version: project.secretVersion });
  return [deps.config.anthropicApiKey, remote.credentials?.password, signing, signing.slice('whsec_'.length)].filter(
    (secret): secret is string => secret !== undefined && secret.length >= MIN_SECRET_LENGTH,
  );
}
