/** A workspace in a pod: each method is a short exec of the local runtime there. */
import { randomUUID } from 'node:crypto';
import { relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { failpoint } from '../../std/failpoint.ts';
import type { RunState } from '../inside/call.ts';
import type { Redact } from '../redact.ts';
import type { OwnPrograms, Workspace, WorkspacePaths } from '../runtime.ts';
import { KubernetesRun } from './kubernetes-run.ts';
import { type CalledPod, failWhenSuperseded, type PodCalls } from './pod-calls.ts';
import { runInPod } from './pod-command.ts';
import { CONTAINERS, IMAGE_COMPILED, IMAGE_PACKAGE, NODE, PACKAGE } from './pod-layout.ts';

const SOURCES = fileURLToPath(new URL('../../../', import.meta.url));
const READ_DEADLINE_MS = 30 * 60_000;

export interface KubernetesWorkspaceOptions {
  readonly buildId: string;
  readonly pod: CalledPod;
  readonly calls: PodCalls;
  readonly paths: WorkspacePaths;
  /** Those of the agent's container that programs see. */
  readonly variables: readonly string[];
  readonly onRead: () => void;
}

export function openKubernetesWorkspace(options: KubernetesWorkspaceOptions): Workspace {
  const { buildId, pod, calls, paths, variables, onRead } = options;
  const inGit = <T>(operation: string, data: object, more: { signal?: AbortSignal } = {}) =>
    calls.ask<T>(pod, { container: CONTAINERS.git, operation, data: { buildId, ...data }, ...more });
  const inAgent = <T>(operation: string, data: object) =>
    calls.ask<T>(pod, { container: CONTAINERS.agent, operation, data: { buildId, ...data } });
  const openRun = (redact: Redact) => new KubernetesRun({ buildId, pod, calls, redact, onRead });
  const look = () => inAgent<RunState>('look', {});

  return {
    buildId,
    paths,
    sandboxed: true,
    isLocal: false,
    programs: {
      start: { ...programsIn(NODE, PACKAGE), environment: {} },
      // Without it, each task of a checkout takes its program three times as long to start.
      exec: { ...programsIn('node', IMAGE_PACKAGE), environment: { NODE_COMPILE_CACHE: IMAGE_COMPILED } },
    },
    exec: (command) => runInPod({ buildId, pod, calls }, command),
    async write(files) {
      await inGit('write', { files });
    },
    read: (path) => readFromPod(pod, calls, { buildId, path }),
    async start({ redact, ...command }) {
      if (command.inbox) await inGit('openInbox', {});
      await failpoint('agent.spawning');
      await inAgent('start', { starter: randomUUID(), variables, command });
      await failpoint('agent.spawned');
      return openRun(redact);
    },
    attach: async (redact) => ((await look()).hasRun ? openRun(redact) : null),
    async forgetRun() {
      await inAgent('forgetRun', {});
      await inGit('closeInbox', {});
    },
  };
}

function programsIn(node: string, folder: string): Omit<OwnPrograms, 'environment'> {
  return { node, find: (path) => `${folder}/${relative(SOURCES, path)}` };
}

/** Goes on where a broken connection has left it. */
async function* readFromPod(
  pod: CalledPod,
  calls: PodCalls,
  file: { readonly buildId: string; readonly path: string },
): AsyncGenerator<Uint8Array> {
  const tries = { since: performance.now(), count: 0 };
  let from = 0;
  for (;;) {
    const call = {
      container: CONTAINERS.git,
      operation: 'read',
      data: { ...file, from },
      deadlineMs: READ_DEADLINE_MS,
    };
    const stream = calls.stream(pod, call);
    try {
      for await (const chunk of stream) {
        from += chunk.length;
        tries.count = 0;
        tries.since = performance.now();
        yield chunk;
      }
    } catch (error) {
      await calls.recover(pod, error, tries);
      continue;
    }
    const end = await stream.exit;
    failWhenSuperseded(end);
    if (end.exitCode !== 0) throw new Error(`The file cannot be read: ${end.stderr.trim().slice(-300)}`);
    return;
  }
}
