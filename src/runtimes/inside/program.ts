/**
 * The local runtime in a container of a pod: does what a worker asks for by an exec, and ends. `git` and `agent` are two
 * containers with the same folders of builds; the processes of a run are in `agent` only.
 */
import { existsSync } from 'node:fs';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { SupersededError } from '../../errors.ts';
import { packData, unpackData } from '../../std/pack-data.ts';
import { INBOX_VARIABLE } from '../build-mark.ts';
import { MOUNTS } from '../kubernetes/pod-layout.ts';
import { openLocalRuntime } from '../local.ts';
import { layoutIn } from '../local-workspace.ts';
import { readRegularFile } from '../read-file.ts';
import { appendToInbox, runFiles } from '../run-files.ts';
import type { Command, DetachedCommand, WorkspaceFile } from '../runtime.ts';
import { type Fence, SUPERSEDED_EXIT, type TailRequest } from './call.ts';
import { checkRoot, removeFalseRoot } from './check-root.ts';
import { killCommand, runCommandOnce } from './command-once.ts';
import { killOthers } from './kill-others.ts';
import { passFence } from './pass-fence.ts';
import { readCall, writeAll } from './program-io.ts';
import { readRunState } from './run-state.ts';
import { tailRun } from './tail-run.ts';

const { builds: BUILDS, inbox: INBOX, git: GIT, cache: CACHE } = MOUNTS;
/** Nobody reads the output of a run while Kubernetes' API is away; a lost worker's pod is removed by the others. */
const QUIET_SECONDS = 15 * 60;

/** Names the call that has started the run, should its answer be lost and the call come again. */
const STARTER = 'starter';
/** As the image says it: only who made the image knows where its programs are. */
const IMAGE_PATH = process.env.PATH ?? '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** Not in the container of the agent. */
const makesGit = existsSync(GIT);
const runtime = openLocalRuntime({ folder: BUILDS, layout: layoutIn(CACHE, { git: GIT, makesGit }) });
const filesOf = (buildId: string) => ({ ...runFiles(join(BUILDS, buildId, 'run')), inbox: join(INBOX, buildId) });
/** Where only `git` writes, and `agent` reads. */
const fenceOf = (buildId: string) => join(INBOX, `${buildId}.attempts`);
const openRun = (buildId: string) => runtime.open(buildId).then((workspace) => workspace.attach((line) => line));

interface OfBuild {
  readonly buildId: string;
}

interface StartRequest extends OfBuild {
  readonly starter: string;
  /** Of the container's environment the operator wants them in the program's. */
  readonly variables: readonly string[];
  readonly command: DetachedCommand;
}

function pick(names: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    names.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]])),
  );
}

/** By name; what they return is the answer, and null where they have printed it themselves. */
const OPERATIONS: Readonly<Record<string, (request: never) => Promise<unknown>>> = {
  async open({ buildId }: OfBuild) {
    const { paths } = await runtime.open(buildId);
    return { paths };
  },
  async exec({ buildId, id, command }: OfBuild & { readonly id: string; readonly command: Command }) {
    const workspace = await runtime.open(buildId);
    return runCommandOnce(join(GIT, '.commands'), { id, run: (signal) => workspace.exec({ ...command, signal }) });
  },
  async kill({ id }: { readonly id: string }) {
    await killCommand(join(GIT, '.commands'), id);
    return {};
  },
  async write({ buildId, files }: OfBuild & { readonly files: readonly WorkspaceFile[] }) {
    await (await runtime.open(buildId)).write(files);
    return {};
  },
  async read({ buildId, path, from }: OfBuild & { readonly path: string; readonly from: number }) {
    for await (const chunk of readRegularFile(path, { root: join(BUILDS, buildId), start: from }))
      await writeAll(chunk);
    return null;
  },
  async openInbox({ buildId }: OfBuild) {
    await writeFile(filesOf(buildId).inbox, '', { flag: 'a', mode: 0o600 });
    return {};
  },
  async send({ buildId, line }: OfBuild & { readonly line: string }) {
    await appendToInbox(filesOf(buildId), line);
    return {};
  },
  async closeInbox({ buildId }: OfBuild) {
    await rm(filesOf(buildId).inbox, { force: true });
    return {};
  },
  async start({ buildId, starter, variables, command }: StartRequest) {
    const workspace = await runtime.open(buildId);
    if (!(await isFirstCall(join(workspace.paths.root, STARTER), starter)) && (await openRun(buildId))) return {};
    const { inbox, ...rest } = command;
    const env = {
      PATH: IMAGE_PATH,
      ...pick(variables),
      ...command.env,
      ...(inbox ? { [INBOX_VARIABLE]: filesOf(buildId).inbox } : {}),
    };
    try {
      await workspace.start({ quietSeconds: QUIET_SECONDS, ...rest, env, redact: (line) => line });
    } catch (error) {
      if (!(await openRun(buildId))) await rm(join(workspace.paths.root, STARTER), { force: true });
      throw error;
    }
    return {};
  },
  look: async ({ buildId }: OfBuild) => readRunState(filesOf(buildId)),
  async tail(request: TailRequest) {
    await tailRun(filesOf(request.buildId), request, () => runtime.renew(request.buildId));
    return null;
  },
  async renew({ buildId }: OfBuild) {
    await runtime.renew(buildId);
    return {};
  },
  async stop({ buildId, graceMs }: OfBuild & { readonly graceMs: number }) {
    await (await openRun(buildId))?.stop({ graceMs });
    return {};
  },
  async sweep({ buildId, everything }: OfBuild & { readonly everything: boolean }) {
    const marked = await runtime.sweep(buildId);
    return { killed: marked + (everything ? await killOthers() : 0) };
  },
  async forgetRun({ buildId }: OfBuild) {
    const workspace = await runtime.open(buildId);
    await workspace.forgetRun();
    await rm(join(workspace.paths.root, STARTER), { force: true });
    return {};
  },
  list: async () => ({ builds: await runtime.list() }),
  async copyHome({ from, to }: { readonly from: string; readonly to: string }) {
    for (const buildId of [from, to]) await checkRoot(BUILDS, buildId);
    return { copied: await runtime.copyHome(from, to) };
  },
  async close({ buildId, keepHome, forget }: OfBuild & { readonly keepHome: boolean; readonly forget: string[] }) {
    await removeFalseRoot(BUILDS, buildId);
    await runtime.close(buildId, { keepHome, forget });
    await rm(filesOf(buildId).inbox, { force: true });
    await rm(fenceOf(buildId), { recursive: true, force: true });
    return {};
  },
};

/** False when the same call was here before; rejects with EEXIST when another one was. */
async function isFirstCall(path: string, starter: string): Promise<boolean> {
  try {
    await writeFile(path, starter, { flag: 'wx', mode: 0o600 });
    return true;
  } catch (error) {
    if ((await readFile(path, 'utf8')) !== starter) throw error;
    return false;
  }
}

/** Exits with SUPERSEDED_EXIT when a later attempt has the workspace. */
async function checkFence(fence: Fence, mayRaise: boolean): Promise<void> {
  try {
    await passFence(fenceOf(fence.buildId), fence, mayRaise);
  } catch (error) {
    if (!(error instanceof SupersededError)) throw error;
    process.stderr.write(`${error.message}\n`, () => process.exit(SUPERSEDED_EXIT));
    await new Promise(() => {});
  }
}

const { operation, fence, data } = await readCall(process.stdin);
const work = OPERATIONS[operation];
if (work === undefined) throw new Error(`There is no operation ${operation}: the pod has another version of Slipway.`);
await mkdir(BUILDS, { recursive: true });
if (fence) await checkFence(fence, operation === 'open');
const request = unpackData(data) as Partial<OfBuild>;
const buildId = request.buildId ?? fence?.buildId;
if (buildId !== undefined && operation !== 'close') await checkRoot(BUILDS, buildId);
const answer = await work(request as never);
if (answer !== null) await writeAll(packData(answer));
process.exit(0);
