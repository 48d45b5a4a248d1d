/**
 * What cannot be done where builds run in pods. Whoever asks for it is told when he asks: API processes have no runtime of
 * that kind, and a build that a worker refuses has been waited for.
 */
import type { Config } from '../config/config.ts';
import { isLocalPath } from '../git/remote-url.ts';
import type { NetworkAccess } from '../std/network-access.ts';
import { podNetworkProblem } from '../std/pod-network.ts';

type Where = Pick<Config, 'runtime'>;

export const REPOSITORY_OUT_OF_REACH =
  'Builds run in pods, which do not reach a repository on a disk of Slipway: give the project a repositoryUrl that pods reach.';

/** Null where builds reach it. `repositoryUrl` null: a repository that Slipway keeps. */
export function repositoryLimit({ runtime }: Where, repositoryUrl: string | null): string | null {
  if (runtime !== 'kubernetes') return null;
  return repositoryUrl === null || isLocalPath(repositoryUrl) ? REPOSITORY_OUT_OF_REACH : null;
}

/** Null where builds can be kept to it, or only a worker knows. */
export function networkLimit({ runtime }: Where, network: NetworkAccess): string | null {
  return runtime === 'kubernetes' ? podNetworkProblem(network) : null;
}
