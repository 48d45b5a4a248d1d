import { imageMatches } from '../std/image-reference.ts';
import { podNetworkProblem } from '../std/pod-network.ts';
import type { Config } from './config.ts';

export interface Conflict {
  /** The variable that would have to change. */
  readonly env: string;
  readonly message: string;
}

type Given = Pick<
  Config,
  | 'runtime'
  | 'kubernetesMode'
  | 'kubernetesImage'
  | 'kubernetesToolsImage'
  | 'kubernetesAllowedImages'
  | 'kubernetesWarm'
  | 'kubernetesSandbox'
  | 'localRepositories'
  | 'network'
>;

/** What each option allows and all of them together do not; undefined members are those that could not be read. */
export function kubernetesConflicts(config: Partial<Given>): Conflict[] {
  if (config.runtime !== 'kubernetes') return [];
  const conflicts: Conflict[] = [];
  const refuse = (env: string, message: string) => conflicts.push({ env, message });
  if (!config.kubernetesImage) {
    refuse('SLIPWAY_KUBERNETES_IMAGE', 'is needed with SLIPWAY_RUNTIME=kubernetes: the image in which agents run.');
  }
  if (!config.kubernetesToolsImage) {
    refuse('SLIPWAY_KUBERNETES_TOOLS_IMAGE', "is needed with SLIPWAY_RUNTIME=kubernetes: Slipway's own image.");
  }
  if (config.localRepositories) {
    const message =
      'must not be true with SLIPWAY_RUNTIME=kubernetes: a pod does not see the repositories of this machine.';
    refuse('SLIPWAY_LOCAL_REPOSITORIES', message);
  }
  if (config.network && podNetworkProblem(config.network) !== null) {
    const message =
      'must be ALL or NONE with SLIPWAY_RUNTIME=kubernetes, which cannot limit pods to hosts by their names.';
    refuse('SLIPWAY_NETWORK', message);
  }
  const warm = config.kubernetesWarm ?? [];
  if (warm.length > 0 && config.kubernetesMode === 'exec') {
    refuse(
      'SLIPWAY_KUBERNETES_WARM',
      'must not be set with SLIPWAY_KUBERNETES_MODE=exec, whose pods belong to projects.',
    );
  }
  if (config.kubernetesSandbox !== undefined && config.kubernetesSandbox !== 'false') {
    const env = 'SLIPWAY_KUBERNETES_SANDBOX';
    if (config.kubernetesMode === 'exec') refuse(env, 'must be false with SLIPWAY_KUBERNETES_MODE=exec.');
    if (warm.length > 0)
      refuse(env, 'must be false with SLIPWAY_KUBERNETES_WARM: a Sandbox makes its pod when it is needed.');
  }
  for (const { image } of warm) {
    if (image === config.kubernetesImage) continue;
    if (config.kubernetesAllowedImages?.some((pattern) => imageMatches(pattern, image))) continue;
    const message = `names ${image}, which no build may use: add it to SLIPWAY_KUBERNETES_ALLOWED_IMAGES.`;
    refuse('SLIPWAY_KUBERNETES_WARM', message);
  }
  return conflicts;
}
