import { afterAll, beforeAll, expect, test } from 'vitest';
import { startBuild } from '../../src/builds/start-build.ts';
import { createClient } from '../../src/client/client.ts';
import {
  AnswerBuildQuestionDocument,
  ApproveBuildDocument,
  RejectBuildDocument,
  SendBuildMessageDocument,
} from '../../src/client/generated.ts';
import { watchBuild } from '../../src/client/watch-build.ts';
import { toPublicId } from '../../src/std/public-id.ts';
import { openTestApi, type TestApi } from '../support/api.ts';
import { openTestStack, type TestStack } from '../support/orchestrator.ts';
import { script } from '../support/script.ts';

let stack: TestStack;
let api: TestApi;

beforeAll(async () => {
  stack = await openTestStack();
  api = await openTestApi(stack);
  await stack.openWorker();
});

afterAll(async () => {
  await api[Symbol.asyncDispose]();
  await stack[Symbol.asyncDispose]();
});

const permission = (input: string) => ({ approve: { tool: 'Bash', input } });

test('a program that watches a build answers all that is asked, and tells its agent something', async () => {
  const project = await stack.createProject();
  const prompt = script({ ask: { question: 'Which colour?' } }, permission('make'), permission('rm'));
  const interaction = { questions: true, approvals: true };
  const spec = { prompt, autoCommit: false, interaction };
  const { build } = await startBuild(stack.orchestrator, { projectId: project.id, spec }, 'test');
  const buildId = toPublicId('build', build.id);
  await using client = createClient(api);
  const results: string[] = [];
  const seen: string[] = [];
  for await (const event of watchBuild(client, buildId)) {
    if (event.__typename === 'AgentActivity' && event.content.__typename === 'AgentMessage') {
      seen.push(event.content.text);
    }
    if (event.__typename === 'BuildMessageDelivered') seen.push(`given: ${event.deliveredAs}`);
    if (event.__typename === 'BuildQuestionClosed') seen.push(event.state);
    if (event.__typename !== 'BuildQuestionAsked') continue;
    const { questionId, question } = event;
    if (question.kind === 'QUESTION') {
      const input = { buildId, text: 'Hurry.', mode: 'STEER' } as const;
      results.push((await client.request(SendBuildMessageDocument, { input })).sendBuildMessage.__typename);
      const answer = { input: { questionId, answers: [['Blue']] } };
      results.push((await client.request(AnswerBuildQuestionDocument, answer)).answerBuildQuestion.__typename);
    } else if (question.input === 'make') {
      const answer = await client.request(ApproveBuildDocument, { input: { questionId } });
      results.push(answer.approveBuild.__typename);
    } else {
      const answer = await client.request(RejectBuildDocument, { input: { questionId } });
      results.push(answer.rejectBuild.__typename);
    }
  }
  const mutations = ['SendBuildMessage', 'AnswerBuildQuestion', 'ApproveBuild', 'RejectBuild'];
  expect(results).toEqual(mutations.map((name) => `${name}Payload`));
  expect(seen).toEqual(expect.arrayContaining(['given: STEER', 'I was told: Hurry.', 'The answer is: Blue']));
  expect(seen.filter((text) => /^[A-Z]+$/.test(text))).toEqual(['ANSWERED', 'APPROVED', 'REJECTED']);
});
