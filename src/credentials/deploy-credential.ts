/** What a credential of the kind DEPLOY holds: how to reach the cluster of an environment, and variables of its deploy command. */
import { CORE_SCHEMA, load, mergeTag } from 'js-yaml';
import { z } from 'zod';
import { isPlainText, NOT_PLAIN_TEXT } from '../std/plain-text.ts';

const MAX_KUBECONFIG = 64 * 1024;
const MAX_VALUE = 16 * 1024;
const MAX_VARIABLES = 20;
const MIN_SECRET = 8;
const MAX_ALIASES = 20;

/** Such as `production`. */
export const environmentName = z
  .string()
  .regex(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/, 'must hold only lower-case letters, digits and - (at most 63)');

const variable = z.strictObject({
  name: z
    .string()
    .regex(/^[A-Za-z_][A-Za-z0-9_]{0,99}$/, 'must be the name of a variable')
    .refine(
      (name) => !/^(?:SLIPWAY_|LD_|NODE_|PATH$|HOME$|TMPDIR$)/.test(name),
      'is a name that programs of others heed',
    ),
  value: z
    .string()
    .min(MIN_SECRET, `must have at least ${MIN_SECRET} characters`)
    .max(MAX_VALUE)
    .refine(isPlainText, NOT_PLAIN_TEXT),
});

/** As a caller gives it. */
export const deployInput = z
  .strictObject({
    environment: environmentName,
    kubeconfig: z.string().max(MAX_KUBECONFIG).nullish(),
    variables: z.array(variable).max(MAX_VARIABLES).nullish(),
  })
  .superRefine(({ kubeconfig, variables }, context) => {
    if (typeof kubeconfig !== 'string' && !variables?.length) {
      context.addIssue({ code: 'custom', path: ['kubeconfig'], message: 'give a kubeconfig, variables, or both' });
    }
    const cluster = typeof kubeconfig === 'string' ? readKubeconfig(kubeconfig) : null;
    if (cluster && 'problem' in cluster) {
      context.addIssue({ code: 'custom', path: ['kubeconfig'], message: cluster.problem });
    }
    const names = (variables ?? []).map(({ name }) => name);
    if (new Set(names).size < names.length) {
      context.addIssue({ code: 'custom', path: ['variables'], message: 'must not hold a name twice' });
    }
  });

const text = z.string().min(1).optional();

/** A cluster and who we are there, without a word that names a file or a program. */
const cluster = z.strictObject({
  server: z.string(),
  namespace: text,
  tlsServerName: text,
  caData: text,
  skipTlsVerify: z.boolean().optional(),
  token: text,
  certData: text,
  keyData: text,
});

export type DeployCluster = z.output<typeof cluster>;

const deploySecret = z.strictObject({
  cluster: cluster.nullable(),
  variables: z.record(z.string(), z.string()),
});

export type DeploySecret = z.output<typeof deploySecret>;

/** What is sealed. `input` was checked. */
export function sealedDeploy({ kubeconfig, variables }: z.output<typeof deployInput>): string {
  const found = typeof kubeconfig === 'string' ? readKubeconfig(kubeconfig) : null;
  const secret: DeploySecret = {
    cluster: found && 'server' in found ? found : null,
    variables: Object.fromEntries((variables ?? []).map(({ name, value }) => [name, value])),
  };
  return JSON.stringify(secret);
}

export function openDeploy(value: string): DeploySecret {
  return deploySecret.parse(JSON.parse(value));
}

/** What nothing may show. */
export function deploySecrets(value: string): readonly string[] {
  const { cluster, variables } = openDeploy(value);
  const key = cluster?.keyData;
  const keys = key === undefined ? [] : [key, Buffer.from(key, 'base64').toString()];
  return [...Object.values(variables), ...(cluster?.token === undefined ? [] : [cluster.token]), ...keys];
}

/** Entries of a kubeconfig that would make Slipway read a file or run a program of its own machine, or speak with others. */
const REFUSED: Readonly<Record<string, string>> = {
  exec: 'a credential plugin',
  'auth-provider': 'an auth provider',
  tokenFile: 'a token file',
  'certificate-authority': 'the path of a certificate',
  'client-certificate': 'the path of a certificate',
  'client-key': 'the path of a key',
  'proxy-url': 'a proxy',
  username: 'a password, which no cluster takes any more',
  password: 'a password, which no cluster takes any more',
  as: 'an impersonation',
};

const named = <T extends string>(member: T) =>
  z.array(z.looseObject({ name: z.string(), [member]: z.record(z.string(), z.unknown()).nullish() })).max(100);
const kubeconfigFile = z.looseObject({
  'current-context': z.string(),
  contexts: named('context'),
  clusters: named('cluster'),
  users: named('user'),
});

/** The cluster of the current context. `problem` never quotes what is in the file. */
function readKubeconfig(file: string): DeployCluster | { readonly problem: string } {
  let parsed: unknown;
  try {
    parsed = load(file, { schema: CORE_SCHEMA.withTags(mergeTag), maxAliases: MAX_ALIASES });
  } catch {
    return { problem: 'is not YAML or JSON' };
  }
  const checked = kubeconfigFile.safeParse(parsed);
  if (!checked.success)
    return { problem: 'must have current-context, contexts, clusters and users, as kubectl writes them' };
  const config = checked.data;
  const find = (list: readonly Record<string, unknown>[], name: unknown, member: string) =>
    (list.find((entry) => entry.name === name)?.[member] ?? {}) as Record<string, unknown>;
  const context = find(config.contexts, config['current-context'], 'context');
  const cluster = find(config.clusters, context.cluster, 'cluster');
  const user = find(config.users, context.user, 'user');
  const refused = Object.keys(REFUSED).find((key) => key in cluster || key in user);
  if (refused !== undefined)
    return { problem: `has ${REFUSED[refused]} (${refused}): only what is in the file itself can be used` };
  return checkCluster({
    server: cluster.server,
    namespace: context.namespace,
    tlsServerName: cluster['tls-server-name'],
    caData: cluster['certificate-authority-data'],
    skipTlsVerify: cluster['insecure-skip-tls-verify'],
    token: user.token,
    certData: user['client-certificate-data'],
    keyData: user['client-key-data'],
  });
}

function checkCluster(given: Record<string, unknown>): DeployCluster | { readonly problem: string } {
  const checked = cluster.safeParse(given);
  const url = checked.success ? URL.parse(checked.data.server) : null;
  if (!checked.success || !url) return { problem: 'names no cluster with a server in its current context' };
  if (!/^https?:$/.test(url.protocol) || url.username !== '' || url.search !== '' || url.hash !== '') {
    return { problem: 'must have an https address as its server' };
  }
  const { token, certData, keyData } = checked.data;
  if (token === undefined && (certData === undefined || keyData === undefined)) {
    return { problem: 'must have a token, or a client certificate with its key, in the file itself' };
  }
  if (token !== undefined && (token.length < MIN_SECRET || !/^[\x21-\x7e]+$/.test(token))) {
    return { problem: `must have a token of at least ${MIN_SECRET} visible characters` };
  }
  return checked.data;
}
