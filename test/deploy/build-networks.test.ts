/** What the shipped NetworkPolicies let the pods of builds reach, judged as Kubernetes judges them. */
import { BlockList, isIPv4 } from 'node:net';
import { describe, expect, test } from 'vitest';
import { LABELS } from '../../src/runtimes/kubernetes/pod-layout.ts';
import { KUSTOMIZE_PROBLEM, renderOverlay } from '../support/manifests.ts';

interface Peer {
  readonly ipBlock?: { readonly cidr: string; readonly except?: readonly string[] };
}

const policies = KUSTOMIZE_PROBLEM
  ? []
  : (await renderOverlay('small')).filter(
      ({ kind, metadata }) => kind === 'NetworkPolicy' && metadata.namespace === 'slipway-builds',
    );

const podOf = (network: string) => ({ [LABELS.name]: 'slipway', [LABELS.network]: network });

function selecting(labels: Readonly<Record<string, string>>) {
  return policies.filter(({ spec }) =>
    Object.entries(spec.podSelector.matchLabels ?? {}).every(([key, value]) => labels[key] === value),
  );
}

/** Any port will do. */
function reaches(labels: Readonly<Record<string, string>>, address: string): boolean {
  const peers: Peer[] = selecting(labels).flatMap(({ spec }) =>
    (spec.egress ?? []).flatMap(({ to }: { to: Peer[] }) => to),
  );
  return peers.some(
    ({ ipBlock }) => ipBlock && isIn(ipBlock.cidr, address) && !ipBlock.except?.some((range) => isIn(range, address)),
  );
}

function isIn(range: string, address: string): boolean {
  const [network = '', prefix = ''] = range.split('/');
  if (isIPv4(network) !== isIPv4(address)) return false;
  const family = isIPv4(network) ? 'ipv4' : 'ipv6';
  const list = new BlockList();
  list.addSubnet(network, Number(prefix), family);
  return list.check(address, family);
}

describe.skipIf(KUSTOMIZE_PROBLEM)('the network of builds', () => {
  test('lets nothing in and denies what is not allowed, to any pod', () => {
    const [denial] = selecting({});
    expect(denial?.spec).toEqual({ podSelector: {}, policyTypes: ['Ingress', 'Egress'] });
    expect(policies.filter(({ spec }) => spec.ingress !== undefined)).toEqual([]);
    expect(reaches({}, '93.184.216.34')).toBe(false);
  });

  test('ALL is the internet, without private addresses and the metadata service', () => {
    for (const address of ['93.184.216.34', '2606:2800:220:1::1']) expect(reaches(podOf('all'), address)).toBe(true);
    const inside = ['10.96.0.1', '172.20.0.9', '192.168.1.1', '100.64.0.1', '127.0.0.1', '169.254.169.254'];
    const inside6 = ['::1', 'fd00:ec2::254', 'fe80::1', '64:ff9b::a9fe:a9fe'];
    expect([...inside, ...inside6].filter((address) => reaches(podOf('all'), address))).toEqual([]);
  });

  test('NONE is nothing but DNS, until an operator names git hosts and models', () => {
    expect(reaches(podOf('none'), '93.184.216.34')).toBe(false);
    expect(
      selecting(podOf('none'))
        .map(({ metadata }) => metadata.name)
        .sort(),
    ).toEqual(['deny-by-default', 'dns', 'git-and-models']);
  });
});
