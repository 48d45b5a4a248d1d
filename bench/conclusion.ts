import type { Conclusion } from '../src/builds/finish-build.ts';

/** How a build of a figure ends. */
export const CONCLUSION: Conclusion = {
  status: 'COMPLETED',
  result: {
    output: 'The button of the login page is blue now, and the changelog says so.',
    publication: 'PUSHED',
    commitSha: 'c'.repeat(40),
    usage: {
      inputTokens: 9_000,
      outputTokens: 800,
      cacheReadTokens: null,
      cacheWriteTokens: null,
      costUsd: 0.1,
      turns: 4,
    },
  },
};
