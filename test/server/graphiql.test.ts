/** GraphiQL in a real browser that reaches nothing but our server: a query and a live subscription. */

import type { Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { schema } from '../../schema/index.ts';
import { createApiToken } from '../../src/auth/api-token.ts';
import { appendEvents } from '../../src/events/append-events.ts';
import type { NewBuildEvent } from '../../src/events/event.ts';
import { eventsTopic } from '../../src/events/topics.ts';
import { type OpenServer, openServer } from '../../src/server/http-server.ts';
import { toPublicId } from '../../src/std/public-id.ts';
import { openBrowser } from '../support/chromium.ts';
import { insertBuilds } from '../support/events.ts';
import { openTestStack, type TestStack } from '../support/orchestrator.ts';
import { waitFor } from '../support/wait-for.ts';

let stack: TestStack;
let server: OpenServer;
let token: string;

beforeAll(async () => {
  stack = await openTestStack({ SLIPWAY_GRAPHIQL: 'true', SLIPWAY_INTROSPECTION: 'true' });
  server = await openServer({ orchestrator: stack.orchestrator, schema, host: '127.0.0.1', port: 0 });
  const rights = { name: 'test', scopes: ['admin'], projectIds: null, expiresAt: null, createdBy: 'test' } as const;
  token = (await createApiToken(stack.orchestrator.db, rights)).token;
});

afterAll(async () => {
  await server[Symbol.asyncDispose]();
  await stack[Symbol.asyncDispose]();
});

/** Types over what the editor holds. Operations keep the name of the first one: the page notices another one late. */
async function fill(page: Page, editor: string, text: string): Promise<void> {
  await page.locator(`${editor} .view-lines:visible`).first().click();
  await page.keyboard.press('ControlOrMeta+A');
  await page.keyboard.insertText(text);
  // The bracket that the editor closes by itself.
  await page.keyboard.press('Delete');
}

async function append(buildId: string, event: NewBuildEvent): Promise<void> {
  await appendEvents(stack.orchestrator.db, { buildId, attemptNo: null }, [event]);
  stack.orchestrator.hub.announce(eventsTopic(buildId));
}

test('runs a query and shows a subscription live, offline', { timeout: 90_000 }, async (context) => {
  const browser = await openBrowser();
  if (!browser) return context.skip('no Chromium');
  const [build] = await insertBuilds(stack.orchestrator.db);
  const buildId = build?.buildId ?? '';
  const id = toPublicId('build', buildId);
  const elsewhere: string[] = [];
  try {
    const page = await browser.newPage();
    page.setDefaultTimeout(20_000);
    page.on('request', (request) => {
      const { protocol, host } = new URL(request.url());
      if (protocol.startsWith('http') && host !== new URL(server.url).host) elsewhere.push(request.url());
    });
    await page.goto(`${server.url}/graphql`);
    await page.getByRole('button', { name: 'Headers' }).click();
    const schemas: number[] = [];
    page.on('response', (response) => {
      if (response.request().postData()?.includes('IntrospectionQuery')) schemas.push(response.status());
    });
    await fill(page, '.graphiql-editor-tool', `{ "Authorization": "Bearer ${token}" }`);
    // The page asked for the schema before it had a token.
    await waitFor(() => schemas.includes(200), { what: 'the schema' });
    await fill(page, '.graphiql-query-editor', `query Overview { build(id: "${id}") { number status } }`);
    await page.keyboard.press('ControlOrMeta+Enter');
    await page.locator('.result-window').getByText('PENDING').waitFor();
    await fill(
      page,
      '.graphiql-query-editor',
      `subscription Overview { buildProgress(buildId: "${id}") { cursor type } }`,
    );
    await page.keyboard.press('ControlOrMeta+Enter');
    await append(buildId, { type: 'PROGRESS', data: { message: 'one' } });
    await page.locator('.result-window').getByText('"PROGRESS"').waitFor();
    await append(buildId, { type: 'WARNING', data: { message: 'two' } });
    await page.locator('.result-window').getByText('"WARNING"').waitFor();
    expect(elsewhere).toEqual([]);
  } finally {
    await browser.close();
  }
});
