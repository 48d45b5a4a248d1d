/** Secrets and ConfigMaps that the operator names for agents: never in another container than `agent`. */
import type { V1EnvVar, V1Volume, V1VolumeMount } from '@kubernetes/client-node';
import { OPERATOR_FILES } from './pod-layout.ts';
import type { MountedObject, PodSettings } from './pod-settings.ts';

/** For the group of the pod. */
const READABLE = 0o440;

export function operatorVolumes({ secrets, configMaps }: PodSettings): V1Volume[] {
  return [
    ...files(secrets).map(({ name }, index) => ({
      name: `secret-${index}`,
      secret: { secretName: name, defaultMode: READABLE },
    })),
    ...files(configMaps).map(({ name }, index) => ({
      name: `config-${index}`,
      configMap: { name, defaultMode: READABLE },
    })),
  ];
}

/** In the order of `operatorVolumes`. */
export function operatorMounts({ secrets, configMaps }: PodSettings): V1VolumeMount[] {
  return [
    ...files(secrets).map(({ name }, index) => mount(`secret-${index}`, `${OPERATOR_FILES.secrets}/${name}`)),
    ...files(configMaps).map(({ name }, index) => mount(`config-${index}`, `${OPERATOR_FILES.configMaps}/${name}`)),
  ];
}

export function agentEnvironment({ env, secrets, configMaps }: PodSettings): V1EnvVar[] {
  return [
    // Kubernetes would replace `$(NAME)` by another variable.
    ...Object.entries(env).map(([name, value]) => ({ name, value: value.replaceAll('$', '$$$$') })),
    ...secrets.flatMap((one) => variable(one, 'secretKeyRef')),
    ...configMaps.flatMap((one) => variable(one, 'configMapKeyRef')),
  ];
}

function files(objects: readonly MountedObject[]): readonly MountedObject[] {
  return objects.filter(({ variable }) => variable === undefined);
}

function mount(name: string, mountPath: string): V1VolumeMount {
  return { name, mountPath, readOnly: true };
}

function variable({ name, key, variable }: MountedObject, kind: 'secretKeyRef' | 'configMapKeyRef'): V1EnvVar[] {
  if (variable === undefined || key === undefined) return [];
  return [{ name: variable, valueFrom: { [kind]: { name, key } } }];
}
