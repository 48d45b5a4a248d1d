/**
 * The profile "restricted" of the Pod Security Standards, as its page lists it, for clusters that have no such admission:
 * https://kubernetes.io/docs/concepts/security/pod-security-standards/
 */
import type { V1Container, V1ObjectMeta, V1PodSpec, V1Volume } from '@kubernetes/client-node';

const VOLUME_TYPES: readonly string[] = [
  'configMap',
  'csi',
  'downwardAPI',
  'emptyDir',
  'ephemeral',
  'persistentVolumeClaim',
  'projected',
  'secret',
];
const SAFE_SYSCTLS: readonly string[] = [
  'kernel.shm_rmid_forced',
  'net.ipv4.ip_local_port_range',
  'net.ipv4.ip_unprivileged_port_start',
  'net.ipv4.tcp_syncookies',
  'net.ipv4.ping_group_range',
  'net.ipv4.ip_local_reserved_ports',
  'net.ipv4.tcp_keepalive_time',
  'net.ipv4.tcp_fin_timeout',
  'net.ipv4.tcp_keepalive_intvl',
  'net.ipv4.tcp_keepalive_probes',
];
const SELINUX_TYPES: readonly string[] = [
  '',
  'container_t',
  'container_init_t',
  'container_kvm_t',
  'container_engine_t',
];
const APPARMOR = 'container.apparmor.security.beta.kubernetes.io/';

type Context = NonNullable<V1PodSpec['securityContext']> & NonNullable<V1Container['securityContext']>;

/** One line for each rule that a pod, or the template of one, breaks. */
export function restrictedViolations(
  spec: V1PodSpec,
  { annotations = {} }: Pick<V1ObjectMeta, 'annotations'> = {},
): string[] {
  const containers = [...(spec.initContainers ?? []), ...spec.containers, ...(spec.ephemeralContainers ?? [])];
  return [
    ...(['hostNetwork', 'hostPID', 'hostIPC'] as const).filter((field) => spec[field]),
    ...Object.entries(annotations)
      .filter(([name, profile]) => name.startsWith(APPARMOR) && !/^(runtime\/default|localhost\/.*)$/.test(profile))
      .map(([name]) => `annotation ${name}`),
    ...(spec.securityContext?.sysctls ?? [])
      .filter(({ name }) => !SAFE_SYSCTLS.includes(name))
      .map(({ name }) => `sysctl ${name}`),
    ...(spec.volumes ?? []).filter((volume) => !isAllowedVolume(volume)).map(({ name }) => `volume ${name}`),
    ...sharedRules((spec.securityContext ?? {}) as Context).map((rule) => `pod: ${rule}`),
    ...containers.flatMap((container) =>
      containerRules(container, (spec.securityContext ?? {}) as Context).map((rule) => `${container.name}: ${rule}`),
    ),
  ];
}

function isAllowedVolume({ name: _, ...source }: V1Volume): boolean {
  const types = Object.entries(source).flatMap(([type, value]) => (value === undefined ? [] : [type]));
  return types.length === 1 && types.every((type) => VOLUME_TYPES.includes(type));
}

/** What must hold for the context of a pod as for that of a container. */
function sharedRules(context: Context): string[] {
  const { seLinuxOptions: selinux, appArmorProfile: apparmor, seccompProfile: seccomp } = context;
  return [
    ...(context.runAsUser === 0 ? ['runAsUser 0'] : []),
    ...(context.windowsOptions?.hostProcess ? ['hostProcess'] : []),
    ...(selinux && (!SELINUX_TYPES.includes(selinux.type ?? '') || selinux.user || selinux.role) ? ['seLinux'] : []),
    ...(apparmor?.type === 'Unconfined' ? ['appArmor'] : []),
    ...(seccomp?.type === 'Unconfined' ? ['seccomp Unconfined'] : []),
  ];
}

function containerRules(container: Pick<V1Container, 'securityContext' | 'ports'>, pod: Context): string[] {
  const own = (container.securityContext ?? {}) as Context;
  const { capabilities = {} } = own;
  const seccomp = (own.seccompProfile ?? pod.seccompProfile)?.type;
  return [
    ...sharedRules(own),
    ...(own.privileged ? ['privileged'] : []),
    ...(own.allowPrivilegeEscalation === false ? [] : ['allowPrivilegeEscalation']),
    ...((own.runAsNonRoot ?? pod.runAsNonRoot) ? [] : ['runAsNonRoot']),
    ...(own.procMount !== undefined && own.procMount !== 'Default' ? ['procMount'] : []),
    ...(seccomp === 'RuntimeDefault' || seccomp === 'Localhost' ? [] : ['seccomp']),
    ...(capabilities.drop?.includes('ALL') ? [] : ['capabilities.drop']),
    ...((capabilities.add ?? []).every((added) => added === 'NET_BIND_SERVICE') ? [] : ['capabilities.add']),
    ...((container.ports ?? []).some(({ hostPort }) => hostPort) ? ['hostPort'] : []),
  ];
}
