/** Claude Code meets a rate limit in the middle of its work, and goes on with its session and its changes. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { findBuild } from '../../src/builds/build.ts';
import { startBuild } from '../../src/builds/start-build.ts';
import { type FakeModel, openFakeModel } from '../support/fake-model/fake-model.ts';
import { openTestStack, type TestStack } from '../support/orchestrator.ts';
import { findAgent } from '../support/real-agents.ts';
import { waitFor } from '../support/wait-for.ts';

const found = await findAgent('claude-code');

interface LimitedModel extends AsyncDisposable {
  readonly url: string;
  /** So many requests are let through; the others are told to come back later. */
  allowed: number;
}

async function openLimit(model: FakeModel): Promise<LimitedModel> {
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    limit.allowed -= 1;
    if (limit.allowed < 0) {
      const error = { type: 'error', error: { type: 'rate_limit_error', message: 'Too Many Requests' } };
      response.writeHead(429, { 'content-type': 'application/json', 'retry-after-ms': '50' });
      return response.end(JSON.stringify(error));
    }
    const answer = await fetch(`${model.url}${request.url}`, { method: 'POST', body: Buffer.concat(chunks) });
    response.writeHead(answer.status, { 'content-type': answer.headers.get('content-type') ?? '' });
    return response.end(await answer.text());
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  const limit: LimitedModel = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    allowed: 1,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((closed) => server.close(closed));
    },
  };
  return limit;
}

describe.skipIf('missing' in found)('with the real Claude Code', () => {
  let model: FakeModel;
  let limit: LimitedModel;
  let stack: TestStack;

  beforeAll(async () => {
    model = await openFakeModel();
    limit = await openLimit(model);
    stack = await openTestStack({
      SLIPWAY_DEFAULT_PROVIDER: 'claude-code',
      SLIPWAY_CLAUDE_PATH: 'program' in found ? found.program : '',
      ANTHROPIC_API_KEY: 'test-key',
      ANTHROPIC_BASE_URL: limit.url,
    });
    await stack.openWorker(1);
  });

  afterAll(async () => {
    await stack[Symbol.asyncDispose]();
    await limit[Symbol.asyncDispose]();
    await model[Symbol.asyncDispose]();
  });

  test('the session goes on in the checkout that it left', async () => {
    const { db, queue } = stack.orchestrator;
    const project = await stack.createProject();
    const spec = { prompt: 'The number is 4711. [[script:hello]]' };
    const { build } = await startBuild(stack.orchestrator, { projectId: project.id, spec }, 'test');
    const find = async () => {
      const now = await findBuild(db, build.id);
      return now?.waitingFor === 'QUOTA' ? now : null;
    };
    const held = await waitFor(find, { deadlineMs: 60_000, what: 'the build to wait' });
    expect(held.usage?.inputTokens).toBe(1000);
    const asked = model.prompts.length;
    limit.allowed = Number.POSITIVE_INFINITY;
    await db.deleteFrom('quota_pauses').execute();
    await db.transaction().execute((trx) => queue.putBack(trx, build.id, null));
    const ended = await stack.finished(build.id, 60_000);
    expect(ended).toMatchObject({ status: 'COMPLETED', failure: null, attemptNo: 2 });
    const [first = ''] = model.prompts.slice(asked);
    expect(first.match(/The number is 4711\./g)).toHaveLength(2);
    expect(first).toContain('Your changes are still there');
    expect(ended.result?.filesChanged).toMatchObject([{ path: 'hello.txt', status: 'ADDED' }]);
    expect(ended.usage?.inputTokens).toBe(1000 + (model.prompts.length - asked) * 1000 + 400);
    expect(ended.usage?.models).toMatchObject([{ inputTokens: ended.usage?.inputTokens }]);
  });
});
