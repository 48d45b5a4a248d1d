/** Names, at the end of a run with `--retry`, the tests that passed only when they were tried again: each is a race to be found. */
import type { Reporter, TestModule } from 'vitest/node';

export class SecondTries implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const tests = modules.flatMap(({ children }) => [...children.allTests()]);
    const flaky = tests.filter((test) => test.diagnostic()?.flaky);
    for (const test of flaky) {
      const [error] = test.result().errors ?? [];
      process.stdout.write(`Passed when tried again: ${test.module.relativeModuleId} > ${test.fullName}\n`);
      process.stdout.write(`  The first time: ${error?.message ?? 'unknown'}\n`);
    }
  }
}
