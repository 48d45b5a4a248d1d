/** What agents and git find in a pod. */
import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import { ExecError } from '../runtimes/kubernetes/exec-error.ts';
import type { KubeApi } from '../runtimes/kubernetes/kube-api.ts';
import { type ExecResult, execInPod } from '../runtimes/kubernetes/pod-exec.ts';
import { CONTAINERS, MOUNTS, NODE, PACKAGE } from '../runtimes/kubernetes/pod-layout.ts';
import type { PodSettings } from '../runtimes/kubernetes/pod-settings.ts';
import { parseQuantity } from '../std/quantity.ts';
import { VERSION } from '../std/version.ts';
import type { PodReport } from './doctor-kubernetes-pod.ts';
import { type Finding, finding, messageOf } from './finding.ts';
import { formatBytes } from './format.ts';

interface InspectedPod {
  readonly api: KubeApi;
  readonly pod: string;
  readonly settings: PodSettings;
  readonly programs: readonly string[];
  readonly signal: AbortSignal;
}

const EXEC_MS = 20_000;
const MAX_OUTPUT_BYTES = 64 * 1024;
const TRIES = 3;
const PAUSE_MS = 500;
const CONNECT_MS = 3_000;

/** What the script below prints. */
const looked = z.object({
  version: z.string(),
  /** Null: the folder of builds can be written. */
  problem: z.string().nullable(),
  freeBytes: z.number(),
  /** Paths, '' where there is none; in the order of the arguments. */
  programs: z.array(z.string()),
  tried: z.array(z.string()),
  reached: z.array(z.string()),
});

type Looked = z.output<typeof looked>;

/**
 * Run by the Node of the tools, with one JSON argument. It needs nothing of Slipway's sources there, which may be of another
 * version. A pod knows the API server by the variables that every container has.
 */
const SCRIPT = `
import { execFileSync } from 'node:child_process';
import { readFileSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
const { builds, manifest, programs, servers, connectMs } = JSON.parse(process.argv[1]);
const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port } = process.env;
if (host && port) servers.push({ host, port: Number(port) });
const tryOut = () => {
  try {
    writeFileSync(builds + '/doctor', '');
    rmSync(builds + '/doctor');
    return null;
  } catch (error) {
    return error.message;
  }
};
const reach = (server) => new Promise((resolve) => {
  const socket = connect(server);
  socket.setTimeout(connectMs, () => socket.destroy());
  socket.on('connect', () => { resolve(true); socket.destroy(); });
  socket.on('error', () => resolve(false));
  socket.on('close', () => resolve(false));
});
const find = 'for name do command -v -- "$name" || echo; done';
const found = execFileSync('/bin/sh', ['-c', find, 'sh', ...programs], { encoding: 'utf8' });
const { bavail, bsize } = statfsSync(builds);
const answers = await Promise.all(servers.map(reach));
const tried = servers.map((server) => server.host + ':' + server.port);
console.log(JSON.stringify({
  version: JSON.parse(readFileSync(manifest, 'utf8')).version,
  problem: tryOut(),
  freeBytes: bavail * bsize,
  programs: found.trimEnd().split('\\n').slice(0, programs.length),
  tried,
  reached: tried.filter((_, index) => answers[index]),
}));
`;

/** Takes three minutes at most. Never rejects. */
export async function inspectPod(pod: InspectedPod): Promise<PodReport> {
  try {
    const node = await run(pod, CONTAINERS.agent, [NODE, '--version']);
    if (node.exitCode !== 0) return { findings: [noNode(node)], reach: null };
    const [git, seen] = await Promise.all([run(pod, CONTAINERS.git, ['git', '--version']), look(pod)]);
    const { version, programs, tried, reached } = seen;
    return {
      findings: [
        toolsFinding(node.stdout.toString().trim(), version),
        gitFinding(git),
        programsFinding(pod.programs, programs),
        storageFinding(seen, pod.settings),
      ],
      reach: { tried, reached },
    };
  } catch (error) {
    const remedy =
      'Execs go over WebSocket from here to the API server and on to the kubelet: let proxies pass them on.';
    return { findings: [finding('fail', 'pod exec', messageOf(error), remedy)], reach: null };
  }
}

async function look(pod: InspectedPod): Promise<Looked> {
  const input = {
    ...{ builds: MOUNTS.builds, manifest: `${PACKAGE}/package.json`, connectMs: CONNECT_MS },
    ...{ programs: pod.programs, servers: reachable(pod.api.server) },
  };
  const argv = [NODE, '--input-type=module', '--eval', SCRIPT, JSON.stringify(input)] as const;
  const { exitCode, stdout, stderr } = await run(pod, CONTAINERS.agent, argv);
  if (exitCode !== 0) throw new Error(`What is in the pod could not be read: ${stderr.trim().slice(-300)}`);
  return looked.parse(JSON.parse(stdout.toString()));
}

/** On loopback a pod would meet itself. */
function reachable(server: string): { host: string; port: number }[] {
  const { hostname, port, protocol } = new URL(server);
  if (/^(localhost|127\..*|\[::1\])$/.test(hostname)) return [];
  return [{ host: hostname.replace(/^\[|\]$/g, ''), port: Number(port || (protocol === 'https:' ? 443 : 80)) }];
}

async function run(
  { api, pod, signal }: InspectedPod,
  container: string,
  argv: readonly [string, ...string[]],
): Promise<ExecResult> {
  const command = { pod, container, argv, signal, deadlineMs: EXEC_MS, maxOutputBytes: MAX_OUTPUT_BYTES };
  for (let tries = 1; ; tries += 1) {
    try {
      return await execInPod(api, command);
    } catch (error) {
      // The kubelet may not know the container yet.
      const isPassing = error instanceof ExecError && (error.retryable || error.kind === 'refused');
      if (!isPassing || tries === TRIES) throw error;
      await delay(PAUSE_MS, undefined, { signal });
    }
  }
}

function noNode({ stderr }: ExecResult): Finding {
  const remedy =
    'SLIPWAY_KUBERNETES_IMAGE needs glibc 2.28 or newer and libstdc++: Debian 10 and Ubuntu 20.04 or newer; Alpine has neither.';
  return finding('fail', 'pod tools', `Slipway's Node does not run in the image: ${stderr.trim()}`, remedy);
}

function toolsFinding(node: string, version: string): Finding {
  const message = `Node ${node}, Slipway ${version}`;
  if (version === VERSION) return finding('ok', 'pod tools', message);
  const remedy = 'Set SLIPWAY_KUBERNETES_TOOLS_IMAGE to the image of the version that the workers have.';
  return finding('warn', 'pod tools', `${message}, and this is Slipway ${VERSION}`, remedy);
}

function gitFinding({ exitCode, stdout, stderr }: ExecResult): Finding {
  if (exitCode === 0) return finding('ok', 'pod git', stdout.toString().trim());
  const remedy = "SLIPWAY_KUBERNETES_TOOLS_IMAGE has to be Slipway's own image (deploy/Dockerfile).";
  return finding('fail', 'pod git', `git does not run: ${stderr.trim()}`, remedy);
}

function programsFinding(wanted: readonly string[], paths: readonly string[]): Finding {
  const there = wanted.filter((_, index) => paths[index]);
  const absent = wanted.filter((_, index) => !paths[index]);
  if (absent.length === 0) return finding('ok', 'pod agents', there.join(', '));
  const message = there.length === 0 ? 'no agent is in the image' : `${there.join(', ')}; not ${absent.join(', ')}`;
  if (there.length > 0) return finding('ok', 'pod agents', message);
  const remedy = `Put the programs of the agents that you use into SLIPWAY_KUBERNETES_IMAGE: ${absent.join(', ')}.`;
  return finding('warn', 'pod agents', message, remedy);
}

function storageFinding({ problem, freeBytes }: Looked, { resources, user }: PodSettings): Finding {
  const name = 'pod storage';
  if (problem !== null) {
    const remedy = `User ${user.runAsUser} and group ${user.fsGroup} of SLIPWAY_KUBERNETES_POD have to be able to write.`;
    return finding('fail', name, `the folder of builds cannot be written: ${problem}`, remedy);
  }
  const limit = resources.limits['ephemeral-storage'];
  const message = `${limit} for a build, ${formatBytes(freeBytes)} free on its node`;
  if (freeBytes >= (parseQuantity('storage', limit) ?? 0)) return finding('ok', name, message);
  const remedy =
    'Make room on the nodes, or lower limits.ephemeral-storage of resources in SLIPWAY_KUBERNETES_POD: full nodes evict pods.';
  return finding('warn', name, message, remedy);
}
