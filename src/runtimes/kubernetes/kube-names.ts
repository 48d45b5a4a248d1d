/** Names are checked before they are put into a URL: `..` in a path would name another resource. */
import { dnsLabelProblem, dnsNameProblem } from '../../std/kubernetes-names.ts';
import { KubeError } from './kube-error.ts';

/** What is in the paths of the API: groups, versions, resources, and names as RBAC has them. */
const SEGMENT = /^[A-Za-z0-9][A-Za-z0-9._:-]{0,252}$/;

/** Throws a KubeError with the reason InvalidName. */
export function checkName(kind: 'pod' | 'namespace' | 'container', name: string): void {
  const problem = kind === 'pod' ? dnsNameProblem(name) : dnsLabelProblem(name);
  if (problem === null) return;
  throw new KubeError({
    status: null,
    reason: 'InvalidName',
    message: `${JSON.stringify(name.slice(0, 300))} is not the name of a ${kind}: it ${problem}.`,
    retryable: false,
  });
}

/** `['api', 'v1']` -> `/api/v1`. Throws a KubeError for a segment that no path of the API has. */
export function pathOf(segments: readonly string[]): string {
  const bad = segments.find((segment) => !SEGMENT.test(segment));
  if (bad !== undefined) {
    throw new KubeError({
      status: null,
      reason: 'InvalidName',
      message: `${JSON.stringify(bad.slice(0, 300))} cannot be a part of a path of the Kubernetes API.`,
      retryable: false,
    });
  }
  return `/${segments.map(encodeURIComponent).join('/')}`;
}
