/** Prints, after `npm run agents`, which agent was played which case of the suite, and why not all are played alike. */
import type { Reporter, TestCase, TestModule } from 'vitest/node';
import { formatTable } from '../../src/cli/format.ts';
import type { AgentCaseMeta } from '../contracts/agent-harness.ts';

/** Where the real agents are tested. */
const PROJECT = 'agents';
const WORDS = { 'as all': 'ok', differs: 'differs', cannot: 'cannot' } as const;

interface Cell extends AgentCaseMeta {
  readonly result: string;
}

export class AgentMatrix implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const tests = modules
      .filter(({ project }) => project.name === PROJECT)
      .flatMap(({ children }) => [...children.allTests()]);
    const cells = tests.flatMap(toCell);
    if (cells.length === 0) return;
    const agents = [...new Set(cells.map(({ agent }) => agent))].sort();
    const cases = [...new Set(cells.map((cell) => cell.case))];
    const resultOf = (agent: string, name: string) =>
      cells.find((cell) => cell.agent === agent && cell.case === name)?.result ?? '-';
    const rows = cases.map((name) => [name, ...agents.map((agent) => resultOf(agent, name))]);
    const versions = ['version', ...agents.map((agent) => versionOf(tests, agent))];
    process.stdout.write(`\n${formatTable([['CASE', ...agents], versions, ...rows])}\n\n`);
    for (const { agent, case: name, result, reason } of cells) {
      if (reason !== null) process.stdout.write(`${agent}, ${name} (${result}): ${reason}\n`);
    }
  }
}

function toCell(test: TestCase): Cell[] {
  const { agentCase } = test.meta();
  if (!agentCase) return [];
  const { state } = test.result();
  return [{ ...agentCase, result: state === 'failed' ? 'FAILED' : WORDS[agentCase.played] }];
}

function versionOf(tests: readonly TestCase[], agent: string): string {
  const told = tests.find((test) => test.fullName.includes(`agent contract: ${agent} >`) && test.meta().agentVersion);
  return told?.meta().agentVersion ?? '-';
}
