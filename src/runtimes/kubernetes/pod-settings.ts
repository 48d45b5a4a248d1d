/** What the operator decides about pods, complete and checked. */

export interface Resources {
  readonly cpu: string;
  readonly memory: string;
  readonly 'ephemeral-storage': string;
}

export interface ContainerResources {
  readonly requests: Resources;
  readonly limits: Resources;
}

export interface Toleration {
  readonly key?: string;
  readonly operator?: 'Equal' | 'Exists';
  readonly value?: string;
  readonly effect?: 'NoSchedule' | 'PreferNoSchedule' | 'NoExecute';
  readonly tolerationSeconds?: number;
}

/** A Secret or ConfigMap for the agent: all of it as files, or one key as a variable. */
export interface MountedObject {
  readonly name: string;
  readonly key?: string;
  readonly variable?: string;
}

export interface PodSettings {
  /** Of `agent`, where nobody asks for something else. */
  readonly resources: ContainerResources;
  /** Of `git` and of the init container. */
  readonly gitResources: ContainerResources;
  readonly nodeSelector: Readonly<Record<string, string>>;
  readonly tolerations: readonly Toleration[];
  readonly runtimeClassName: string | null;
  readonly priorityClassName: string | null;
  readonly serviceAccountName: string | null;
  readonly imagePullSecrets: readonly string[];
  /** Null: as Kubernetes does it, by the tag. */
  readonly imagePullPolicy: 'Always' | 'IfNotPresent' | 'Never' | null;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly secrets: readonly MountedObject[];
  readonly configMaps: readonly MountedObject[];
  /** Variables of `agent`. */
  readonly env: Readonly<Record<string, string>>;
  /** None of them is 0. */
  readonly user: { readonly runAsUser: number; readonly runAsGroup: number; readonly fsGroup: number };
  /** The longest that a pod of a build may live. */
  readonly deadlineSeconds: number;
}

/** The variables of `agent` that the operator has set: what agents may see of its environment. */
export function operatorVariables({ env, secrets, configMaps }: PodSettings): readonly string[] {
  return [...Object.keys(env), ...[...secrets, ...configMaps].flatMap(({ variable }) => variable ?? [])];
}
