/** Limits, budgets and what was spent, as bots see them. */
import { sql } from 'kysely';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { fromPublicId } from '../../src/std/public-id.ts';
import { openTestStack, type TestStack } from '../support/orchestrator.ts';
import { Api } from './api.ts';

let stack: TestStack;
let api: Api;

beforeAll(async () => {
  stack = await openTestStack();
  api = new Api(stack.orchestrator);
});
afterAll(() => stack[Symbol.asyncDispose]());

const CREATE = `mutation ($input: ProjectInput!) { createProject(input: $input) { ... on CreateProjectPayload { project {
  id spentToday { costUsd tokens unpricedTokens }
  settings { limits { lingerSeconds maxRetries maxTokens } budget { perBuildUsd perDayUsd perDayTokens } }
} } } }`;
const UPDATE = `mutation ($input: UpdateProjectInput!) { updateProject(input: $input) { ... on UpdateProjectPayload {
  project { settings { budget { perBuildUsd perDayUsd perDayTokens } } }
} } }`;
const START = `mutation ($input: StartBuildInput!) { startBuild(input: $input) { __typename
  ... on UserError { code message }
  ... on BudgetExceededError { resetsAt }
  ... on StartBuildPayload { build {
    waitingFor resumeAt spec { limits { wallSeconds lingerSeconds maxRetries maxTurns maxTokens maxCostUsd } }
  } }
} }`;

async function create(name: string, settings: object) {
  const { createProject } = await api.data(CREATE, { variables: { input: { name, settings } } });
  return createProject.project;
}

async function start(projectId: string, limits: object = {}) {
  const variables = { input: { projectId, spec: { prompt: 'work', limits } } };
  return (await api.data(START, { variables })).startBuild;
}

it('limits come from the build, else the project, else Slipway', async () => {
  const project = await create('Limited', {
    limits: { lingerSeconds: 5, maxTokens: 7_000_000_000 },
    budget: { perBuildUsd: 2 },
  });
  expect(project).toMatchObject({
    spentToday: { costUsd: 0, tokens: 0, unpricedTokens: 0 },
    settings: {
      limits: { lingerSeconds: 5, maxRetries: null, maxTokens: 7_000_000_000 },
      budget: { perBuildUsd: 2, perDayUsd: null, perDayTokens: null },
    },
  });
  const { build } = await start(project.id, { lingerSeconds: 9, maxTurns: 4 });
  expect(build).toEqual({
    waitingFor: null,
    resumeAt: null,
    spec: {
      limits: {
        ...{ wallSeconds: 3600, lingerSeconds: 9, maxRetries: 5, maxTurns: 4, maxTokens: 7_000_000_000 },
        maxCostUsd: 2,
      },
    },
  });
  expect(await start(project.id, { maxCostUsd: 3 })).toMatchObject({
    __typename: 'InvalidInputError',
    code: 'OVER_BUDGET',
  });
});

it('a budget is changed member by member, and a build beyond it is refused until the day ends', async () => {
  const { id } = await create('Shop', { budget: { perDayUsd: 5 } });
  const input = { id, settings: { budget: { perDayTokens: 100 } } };
  const { updateProject } = await api.data(UPDATE, { variables: { input } });
  expect(updateProject.project.settings.budget).toEqual({ perBuildUsd: null, perDayUsd: 5, perDayTokens: 100 });
  await sql`insert into project_spend (project_id, day, tokens, unpriced_tokens)
            values (${fromPublicId('project', id)}, (now() at time zone 'UTC')::date, 100, 100)`.execute(
    stack.orchestrator.db,
  );
  const { project } = await api.data(
    'query ($id: ID!) { project(id: $id) { spentToday { costUsd tokens unpricedTokens } } }',
    {
      variables: { id },
    },
  );
  expect(project.spentToday).toEqual({ costUsd: 0, tokens: 100, unpricedTokens: 100 });
  expect(await start(id)).toMatchObject({
    __typename: 'BudgetExceededError',
    code: 'BUDGET_EXCEEDED',
    resetsAt: expect.stringMatching(/T00:00:00\.000Z$/),
  });
});
