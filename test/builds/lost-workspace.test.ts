/** What becomes of a build whose workspace is gone while it runs: a local runtime that loses what it is told to. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Build } from '../../src/builds/build.ts';
import type { CheckoutCall } from '../../src/builds/distant-checkout.ts';
import { startBuild } from '../../src/builds/start-build.ts';
import { readEvents } from '../../src/events/read-events.ts';
import type { CloseOptions, Command, Runtime, Workspace } from '../../src/runtimes/runtime.ts';
import { type LossReason, WorkspaceLostError } from '../../src/runtimes/workspace-lost.ts';
import { unpackData } from '../../src/std/pack-data.ts';
import { Worker } from '../../src/workers/worker.ts';
import { type GitServer, startGitServer } from '../support/git-server.ts';
import { openTestStack, type TestStack } from '../support/orchestrator.ts';
import { script } from '../support/script.ts';

type Moment = 'open' | 'start' | 'push';
/** Null: it is not lost at this moment. */
type Lose = (moment: Moment, attemptNo: number) => LossReason | null;

const MESSAGE = 'The pod of the build is gone.';

let opened: AsyncDisposableStack;
let stack: TestStack;
let git: GitServer;
let closed: CloseOptions[];
let starts: number;

beforeEach(async () => {
  opened = new AsyncDisposableStack();
  stack = opened.use(await openTestStack());
  git = opened.use(await startGitServer());
  closed = [];
  starts = 0;
});

afterEach(() => opened.disposeAsync());

/** Of the program beside the checkout. */
function isPush({ stdin }: Command): boolean {
  return stdin instanceof Uint8Array && (unpackData(Buffer.from(stdin)) as CheckoutCall).task === 'pushCommit';
}

function losing(runtime: Runtime, lose: Lose): Runtime {
  const at = (moment: Moment, attemptNo = 0) => {
    const reason = lose(moment, attemptNo);
    if (reason !== null) throw new WorkspaceLostError(reason, MESSAGE);
  };
  const changed = (workspace: Workspace, attemptNo?: number): Pick<Workspace, 'isLocal' | 'start' | 'exec'> => ({
    // As a pod's: git runs beside the checkout, and what is lost is lost for whoever asks.
    isLocal: false,
    async start(command) {
      starts += 1;
      at('start', attemptNo);
      return workspace.start(command);
    },
    async exec(command) {
      if (isPush(command)) at('push', attemptNo);
      return workspace.exec(command);
    },
  });
  return {
    ...runtime,
    async open(buildId, needs) {
      at('open', needs?.attemptNo);
      const workspace = await runtime.open(buildId, needs);
      const changes = changed(workspace, needs?.attemptNo);
      return new Proxy(workspace, {
        get(target, key) {
          const value: unknown = Reflect.get(key in changes ? changes : target, key);
          return typeof value === 'function' ? value.bind(target) : value;
        },
      });
    },
    async close(buildId, options) {
      closed.push(options);
      await runtime.close(buildId, options);
    },
  };
}

async function run(lose: Lose): Promise<Build & { readonly url: string }> {
  const { url } = await git.createRepository('project');
  const { orchestrator } = stack;
  const deps = { ...orchestrator, runtime: losing(orchestrator.runtime, lose) };
  await using worker = new Worker(deps, { name: 'losing', capacity: 1 });
  await worker.open();
  const project = await stack.createProject({ repositoryUrl: url });
  const spec = { prompt: script({ write: { path: 'a.txt', content: 'a' } }) };
  const { build } = await startBuild(orchestrator, { projectId: project.id, spec }, 'test');
  return { ...(await stack.finished(build.id)), url };
}

const retries = async ({ id }: Build) =>
  (await readEvents(stack.orchestrator.db, { buildId: id, after: 0, limit: 1_000 }))
    .filter(({ type }) => type === 'RETRY_SCHEDULED')
    .map(({ data }) => data);

const outcomes = async ({ id }: Build) => {
  const attempts = stack.orchestrator.db.selectFrom('build_attempts').select('outcome').where('build_id', '=', id);
  return (await attempts.orderBy('attempt_no').execute()).map(({ outcome }) => outcome);
};

describe('what the build has done to its own workspace ends it', () => {
  test.each([
    ['out_of_memory', 'OUT_OF_MEMORY'],
    ['disk_full', 'WORKSPACE_FULL'],
    ['deadline', 'TIMEOUT'],
  ] as const)('%s: %s', async (loss, reason) => {
    const build = await run((moment) => (moment === 'start' ? loss : null));
    expect(build).toMatchObject({ status: 'FAILED', attemptNo: 1, failure: { reason, message: MESSAGE } });
    expect([await retries(build), starts]).toEqual([[], 1]);
  });
});

describe('what others have done to it costs an attempt', () => {
  test.each(['deleted', 'unreachable'] as const)('%s: the build begins anew', async (loss) => {
    const build = await run((moment, attemptNo) => (moment === 'start' && attemptNo === 1 ? loss : null));
    expect(build).toMatchObject({ status: 'COMPLETED', attemptNo: 2, result: { publication: 'PUSHED' } });
    expect(await retries(build)).toEqual([{ reason: 'WORKSPACE_LOST', message: MESSAGE }]);
    expect(await outcomes(build)).toEqual(['LOST', 'FINISHED']);
    // In the name of the attempt that is over, should a later one be there already.
    expect(closed[0]).toMatchObject({ keepHome: false, attemptNo: 1 });
    expect(starts).toBe(2);
  });

  test('the second time it is over, and says what has happened', async () => {
    const build = await run((moment) => (moment === 'open' ? 'deleted' : null));
    const message = `${MESSAGE} Attempts of this build were lost 2 times.`;
    expect(build).toMatchObject({
      ...{ status: 'FAILED', attemptNo: 2 },
      failure: { reason: 'WORKER_LOST', phase: 'PREPARING', retryable: true, message },
    });
    expect(await outcomes(build)).toEqual(['LOST', 'LOST']);
    expect(await retries(build)).toHaveLength(1);
    const labels = { cicd_pipeline_name: 'build', error_type: 'WORKER_LOST' };
    expect(stack.orchestrator.telemetry.runErrors.read()).toEqual([{ labels, value: 1 }]);
  });
});

test('whatever is lost after the push was intended, it is pushed from another workspace', async () => {
  const build = await run((moment, attemptNo) => (moment === 'push' && attemptNo <= 2 ? 'out_of_memory' : null));
  expect(build).toMatchObject({ status: 'COMPLETED', attemptNo: 3, result: { publication: 'PUSHED' } });
  expect(starts).toBe(1);
  expect(await outcomes(build)).toEqual(['LOST', 'LOST', 'FINISHED']);
});
