import { type Config, ConfigError } from './config.ts';

/** Which cluster, which namespace of it, and who we are there. */
export function kubernetesConnection(config: Config) {
  return {
    ...(config.kubeconfig === undefined ? {} : { kubeconfig: config.kubeconfig }),
    ...(config.kubernetesContext === undefined ? {} : { context: config.kubernetesContext }),
    ...(config.kubernetesNamespace === undefined ? {} : { namespace: config.kubernetesNamespace }),
  };
}

/** What of the configuration builds in pods are made of. Throws ConfigError where an image is missing. */
export function kubernetesOptions(config: Config) {
  return {
    ...kubernetesConnection(config),
    mode: config.kubernetesMode,
    image: required(config.kubernetesImage, 'SLIPWAY_KUBERNETES_IMAGE'),
    toolsImage: required(config.kubernetesToolsImage, 'SLIPWAY_KUBERNETES_TOOLS_IMAGE'),
    startSeconds: config.kubernetesStartSeconds,
    warm: config.kubernetesWarm,
    sandbox: config.kubernetesSandbox,
    pod: config.kubernetesPod,
  };
}

function required(image: string | undefined, variable: string): string {
  if (image !== undefined) return image;
  throw new ConfigError(`The configuration is not valid.\n${variable}: is missing; builds on Kubernetes need it.`);
}
