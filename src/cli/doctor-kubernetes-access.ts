/** What our account may do in the cluster: as much as the Role in deploy/kustomize gives, and no more. */
import type { AccessQuestion, KubeApi } from '../runtimes/kubernetes/kube-api.ts';
import { type Finding, finding, messageOf } from './finding.ts';

export interface Access {
  readonly findings: readonly Finding[];
  /** Builds can be run with it. */
  readonly isEnough: boolean;
}

interface Right {
  /** With its subresource, as RBAC writes it. */
  readonly resource: string;
  readonly verbs: readonly string[];
}

/** test/kubernetes/doctor.test.ts compares it with what is shipped. */
export const NEEDED_RIGHTS: readonly Right[] = [
  { resource: 'pods', verbs: ['create', 'get', 'list', 'watch', 'patch', 'delete'] },
  // Over WebSocket an exec is a GET: older clusters ask for `get`, newer ones for `create`, too.
  { resource: 'pods/exec', verbs: ['create', 'get'] },
  { resource: 'pods/log', verbs: ['get'] },
];

/** What agents could get at through a worker that may more than it needs. */
const EXCESS: readonly (AccessQuestion & { readonly words: string })[] = [
  { words: 'read the Secrets of the namespace', verb: 'list', resource: 'secrets' },
  { words: 'list the nodes', verb: 'list', resource: 'nodes', namespace: null },
  { words: 'do everything in the cluster', verb: '*', resource: '*', group: '*', namespace: null },
];

/** `account`: as Kubernetes calls it; null when nobody knows. Takes up to 30 s. */
export async function checkAccess(api: KubeApi, account: string | null): Promise<Access> {
  try {
    const [missing, excess] = await Promise.all([findMissing(api), findExcess(api)]);
    const lacks = missing.map(({ right, verbs }) =>
      finding('fail', 'permissions', `missing: ${verbs.join(', ')} on ${right.resource}`, grant(api, account, right)),
    );
    return { findings: lacks.length > 0 ? [...lacks, ...excess] : [enough(), ...excess], isEnough: lacks.length === 0 };
  } catch (error) {
    const remedy = 'Every account may ask this: try `kubectl auth can-i create pods` with the same kubeconfig.';
    return { findings: [finding('fail', 'permissions', messageOf(error), remedy)], isEnough: false };
  }
}

function enough(): Finding {
  const rights = NEEDED_RIGHTS.map(({ resource, verbs }) => `${resource} (${verbs.join(', ')})`);
  return finding('ok', 'permissions', rights.join(', '));
}

async function findMissing(api: KubeApi): Promise<{ right: Right; verbs: string[] }[]> {
  const asked = NEEDED_RIGHTS.map(async (right) => {
    const [resource = '', subresource] = right.resource.split('/');
    const of = { resource, ...(subresource === undefined ? {} : { subresource }) };
    const answers = await Promise.all(
      right.verbs.map(async (verb) => ({ verb, ...(await api.reviewAccess({ verb, ...of })) })),
    );
    return { right, verbs: answers.filter(({ allowed }) => !allowed).map(({ verb }) => verb) };
  });
  return (await Promise.all(asked)).filter(({ verbs }) => verbs.length > 0);
}

async function findExcess(api: KubeApi): Promise<Finding[]> {
  const answers = await Promise.all(
    EXCESS.map(async ({ words, ...question }) => ({ words, ...(await api.reviewAccess(question)) })),
  );
  const excess = answers.filter(({ allowed }) => allowed).map(({ words }) => words);
  if (excess.length === 0) return [finding('ok', 'rights', 'no Secrets, no nodes, nothing in other namespaces')];
  const remedy =
    'If workers use this account: give them the ServiceAccount slipway-worker and its Role of deploy/kustomize instead.';
  return [finding('warn', 'rights', `more than is needed: this account may ${excess.join(', ')}`, remedy)];
}

/** The shell line that gives what the resource needs. */
function grant({ namespace }: KubeApi, account: string | null, { resource, verbs }: Right): string {
  const role = `slipway-${resource.replace('/', '-')}`;
  const create = `kubectl -n ${namespace} create`;
  return (
    `${create} role ${role} --verb=${verbs.join(',')} --resource=${resource} && ` +
    `${create} rolebinding ${role} --role=${role} ${subjectOf(account)}`
  );
}

function subjectOf(account: string | null): string {
  if (account === null) return '--user=<this account>';
  const service = /^system:serviceaccount:([^:]+:[^:]+)$/.exec(account)?.[1];
  const subject = service === undefined ? `--user=${account}` : `--serviceaccount=${service}`;
  return /^[\w@.:/=-]+$/.test(subject) ? subject : `'${subject.replaceAll("'", "'\\''")}'`;
}
