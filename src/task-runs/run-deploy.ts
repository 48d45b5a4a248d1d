/** A task of the type `deploy`: the project's deploy command at a commit, or its manifests applied to a cluster. */
import { agentOptions } from '../config/agent-options.ts';
import type { DeployCluster, DeploySecret } from '../credentials/deploy-credential.ts';
import type { Project } from '../projects/project.ts';
import { type Redact, redactAll } from '../runtimes/redact.ts';
import type { Workspace } from '../runtimes/runtime.ts';
import { ALL_OF_THE_NETWORK } from '../std/network-access.ts';
import { remoteAddressProblem } from '../std/outbound-url.ts';
import type { AppliedObject } from './apply-manifests.ts';
import { fitResult } from './fit-result.ts';
import { openTaskCheckout, readProject, readTaskSecrets, type TaskCheckout } from './open-checkout.ts';
import { readManifests } from './read-manifests.ts';
import { describeExit, runCommand } from './run-command.ts';
import { type DeployPayload, deployPayload } from './task-payload.ts';
import { type RunTaskDeps, type TaskEnd, TaskFailedError, type TaskToRun } from './task-run.ts';

const DEFAULT_TIMEOUT_SECONDS = 15 * 60;
const MAX_RESULT_FILE = 64 * 1024;
const MAX_URL = 2_048;
const SHOWN_OBJECTS = 100;
/** Writes stdin where KUBECONFIG says, for its user only, and becomes the command. */
const WITH_KUBECONFIG = ['/bin/sh', '-c', 'umask 077 && cat >"$KUBECONFIG" && exec "$@"', 'sh'] as const;

interface Deployment {
  readonly deps: RunTaskDeps;
  readonly payload: DeployPayload;
  readonly opened: TaskCheckout;
  readonly secret: DeploySecret | null;
  readonly redact: Redact;
  readonly timeoutSeconds: number;
  readonly signal: AbortSignal;
}

/** As `runTest`. */
export async function runDeploy(deps: RunTaskDeps, task: TaskToRun, signal: AbortSignal): Promise<TaskEnd> {
  const payload = deployPayload.parse(task.payload);
  const project = await readProject(deps);
  const way = wayOf(project, payload);
  const { git, deploy: secret, redact } = await readTaskSecrets(deps);
  const cluster = secret?.cluster ?? null;
  if (way.manifests && !cluster) {
    const message = `There is no credential with a kubeconfig for the environment ${payload.environment}.`;
    throw new TaskFailedError('NOT_CONFIGURED', message);
  }
  const timeoutSeconds = payload.timeoutSeconds ?? DEFAULT_TIMEOUT_SECONDS;
  const asked = { project, place: payload, git, network: ALL_OF_THE_NETWORK, timeoutSeconds, signal };
  const opened = await openTaskCheckout(deps, task, asked);
  const deployment = { deps, payload, opened, secret, redact, timeoutSeconds, signal };
  if (way.command) return runDeployCommand(deployment, way.command);
  return applyFiles(deployment, way.manifests ?? [], cluster as DeployCluster);
}

type Way =
  | { readonly command: readonly [string, ...string[]]; readonly manifests: null }
  | { readonly command: null; readonly manifests: readonly string[] };

/** What the task asks for goes before the command of its project, and that before its manifests. */
function wayOf({ settings }: Project, { manifests }: DeployPayload): Way {
  const [program, ...args] = settings.deployCommand ?? [];
  if (!manifests && program !== undefined) return { command: [program, ...args], manifests: null };
  const globs = manifests ?? settings.deployManifests;
  if (globs) return { command: null, manifests: globs };
  const message = 'There is no way to deploy: set deployCommand or deployManifests of the project.';
  throw new TaskFailedError('NOT_CONFIGURED', message);
}

async function runDeployCommand(deployment: Deployment, command: readonly [string, ...string[]]): Promise<TaskEnd> {
  const { deps, payload, opened, secret, redact, timeoutSeconds, signal } = deployment;
  const { workspace, commit } = opened;
  const cluster = secret?.cluster ?? null;
  const resultFile = `${workspace.paths.tmp}/slipway-result.json`;
  const { environment } = payload;
  const env = {
    ...agentOptions(deps.config).environment,
    CI: 'true',
    ...secret?.variables,
    ...{ SLIPWAY_COMMIT: commit, SLIPWAY_ENVIRONMENT: environment, SLIPWAY_RESULT: resultFile },
    ...(cluster ? { KUBECONFIG: `${workspace.paths.home}/.slipway-kubeconfig` } : {}),
  };
  const argv = cluster ? ([...WITH_KUBECONFIG, ...command] as const) : command;
  const stdin = cluster ? JSON.stringify(toKubeconfig(cluster)) : '';
  const end = await runCommand(
    workspace,
    { argv, env, stdin, redact, timeoutSeconds, network: ALL_OF_THE_NETWORK },
    signal,
  );
  const { exit, over, output } = end;
  const exitCode = exit.kind === 'exited' ? exit.code : null;
  const said = { environment, commit, exitCode, output: output.text };
  if (over || exitCode !== 0) {
    const result = fitResult({ status: 'FAILED', url: null, ...said });
    if (over) return { ...over.end, result };
    const message = `${command[0]} ${describeExit(exit)}.`;
    const reason = exit.kind === 'lost' ? 'INTERNAL' : 'COMMAND_FAILED';
    return { status: 'FAILED', reason, message, retryable: exit.kind === 'lost', result };
  }
  const url = (await readUrl(workspace, resultFile, signal)) ?? urlOf(/^url=(.+)$/.exec(output.lastLine)?.[1]);
  return { status: 'COMPLETED', result: fitResult(redactAll(redact, { status: 'DEPLOYED', url, ...said })) };
}

/** As kubectl and its like read it. */
function toKubeconfig({ server, namespace, caData, tlsServerName, skipTlsVerify, ...user }: DeployCluster) {
  const cluster = {
    server,
    'certificate-authority-data': caData,
    'tls-server-name': tlsServerName,
    'insecure-skip-tls-verify': skipTlsVerify,
  };
  const who = { token: user.token, 'client-certificate-data': user.certData, 'client-key-data': user.keyData };
  return {
    ...{ apiVersion: 'v1', kind: 'Config', 'current-context': 'slipway' },
    clusters: [{ name: 'slipway', cluster }],
    users: [{ name: 'slipway', user: who }],
    contexts: [{ name: 'slipway', context: { cluster: 'slipway', user: 'slipway', namespace } }],
  };
}

/** The `url` of the file that a command may leave; null when there is none. */
async function readUrl(workspace: Workspace, path: string, signal: AbortSignal): Promise<string | null> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  try {
    for await (const chunk of workspace.read(path)) {
      bytes += chunk.length;
      if (bytes > MAX_RESULT_FILE) return null;
      chunks.push(chunk);
    }
    return urlOf((JSON.parse(Buffer.concat(chunks).toString()) as { url?: unknown } | null)?.url);
  } catch {
    signal.throwIfAborted();
    return null;
  }
}

function urlOf(text: unknown): string | null {
  if (typeof text !== 'string' || text.length > MAX_URL || /[\s\p{Cc}]/u.test(text.trim())) return null;
  const url = URL.parse(text.trim());
  return url && /^https?:$/.test(url.protocol) && url.username === '' && url.password === '' ? url.href : null;
}

async function applyFiles(
  deployment: Deployment,
  globs: readonly string[],
  { namespace, ...cluster }: DeployCluster,
): Promise<TaskEnd> {
  const { deps, payload, opened, redact, timeoutSeconds, signal } = deployment;
  const { environment } = payload;
  const manifests = await readManifests(opened, globs);
  const host = new URL(cluster.server).hostname.replace(/^\[(.*)\]$/, '$1');
  const problem = remoteAddressProblem(host, { allowLocal: deps.config.localRepositories ?? false });
  if (problem) throw new TaskFailedError('NOT_CONFIGURED', `The server of the kubeconfig ${problem}.`);
  const { openKubeApi } = await import('../runtimes/kubernetes/kube-api.ts');
  const { KubeError } = await import('../runtimes/kubernetes/kube-error.ts');
  const { applyManifests } = await import('./apply-manifests.ts');
  const own = payload.namespace ?? namespace ?? 'default';
  try {
    await using api = await openKubeApi({ cluster, namespace: own });
    const timeoutMs = timeoutSeconds * 1_000;
    const options = { namespace: own, force: payload.force ?? false, timeoutMs, signal };
    const objects = redactAll(redact, await applyManifests(api, manifests, options));
    const url = findUrl(manifests.map(({ object }) => object));
    return judgeObjects(objects, { environment, commit: opened.commit, url });
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof KubeError)) throw error;
    throw new TaskFailedError('DEPLOY_FAILED', redact(error.message), { retryable: error.retryable });
  }
}

function judgeObjects(
  objects: readonly AppliedObject[],
  said: { readonly environment: string; readonly commit: string; readonly url: string | null },
): TaskEnd {
  const bad = objects.find(({ status }) => status === 'FAILED' || status === 'NOT_READY');
  // What went wrong is among those that are shown.
  const shown = [...objects.filter((object) => object === bad), ...objects.filter((object) => object !== bad)];
  const status = bad ? 'FAILED' : 'DEPLOYED';
  const counted = {
    applied: objects.filter((object) => object.status !== 'SKIPPED' && object.status !== 'FAILED').length,
  };
  const result = fitResult({ status, ...said, ...counted, objects: shown.slice(0, SHOWN_OBJECTS), output: '' });
  if (!bad) return { status: 'COMPLETED', result };
  const what = `${bad.kind} ${bad.name}`;
  if (bad.status === 'NOT_READY') {
    const message = `${what} was not ready in time: ${bad.message}.`;
    return { status: 'FAILED', reason: 'TIMEOUT', message, retryable: false, result };
  }
  return { status: 'FAILED', reason: 'DEPLOY_FAILED', message: `${what}: ${bad.message}`, retryable: false, result };
}

/** Where the first Ingress with a host of its own answers. */
function findUrl(objects: readonly Readonly<Record<string, unknown>>[]): string | null {
  for (const { kind, spec } of objects) {
    const { rules, tls } = (spec ?? {}) as { rules?: { host?: unknown }[]; tls?: unknown[] };
    const host = kind === 'Ingress' && Array.isArray(rules) ? rules[0]?.host : undefined;
    if (typeof host === 'string') return urlOf(`${Array.isArray(tls) && tls.length > 0 ? 'https' : 'http'}://${host}/`);
  }
  return null;
}
