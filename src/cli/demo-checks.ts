/** What the demo proves, from outside: with git on the repository, and with the receiver's library on the callback. */
import { isDeepStrictEqual } from 'node:util';
import { execa } from 'execa';
import { Webhook } from 'standardwebhooks';
import type { CallbackPayload } from '../callbacks/callback.ts';
import type { BuildDetailFragment } from '../client/generated.ts';
import { baseEnvironment } from '../config/config.ts';
import type { DemoReport, DemoRun } from './demo-build.ts';
import type { ReceivedCallback } from './demo-receiver.ts';
import { CliError } from './exit-code.ts';

const GIT_LIMIT_MS = 10_000;

export interface FoundCommit {
  readonly sha: string;
  readonly subject: string;
  readonly files: readonly string[];
}

/** Reads the commit from the bare repository. Throws CliError when it is not the one that the build reports. */
export async function checkCommit(repository: string, build: BuildDetailFragment): Promise<FoundCommit> {
  const branch = build.result?.branch ?? '';
  const [listed] = await git(repository, ['ls-remote', repository, `refs/heads/${branch}`]);
  const sha = listed?.split('\t')[0] ?? '';
  if (sha === '' || sha !== build.result?.commitSha) {
    throw new CliError(
      `The repository has ${sha || 'nothing'} on ${branch}, the build says ${build.result?.commitSha}.`,
    );
  }
  const [subject = '', ...files] = await git(repository, ['show', '--format=%s', '--name-only', sha]);
  const reported = build.result.filesChanged.map(({ path }) => path);
  const found = files.filter((file) => file !== '');
  if (!isDeepStrictEqual(found, reported)) {
    throw new CliError(`The commit changes ${found.join(', ')}, the build says ${reported.join(', ')}.`);
  }
  return { sha, subject, files: found };
}

async function git(repository: string, args: readonly string[]): Promise<readonly string[]> {
  const { stdout } = await execa('git', ['-c', 'core.quotePath=false', ...args], {
    env: { ...baseEnvironment(), GIT_DIR: repository, GIT_CONFIG_NOSYSTEM: '1', GIT_CONFIG_GLOBAL: '/dev/null' },
    extendEnv: false,
    lines: true,
    timeout: GIT_LIMIT_MS,
  });
  return stdout;
}

/** Throws CliError when the signature is not the project's or the payload is not the build's result. */
export function checkCallback({ body, headers }: ReceivedCallback, run: DemoRun): DemoReport['callback'] {
  try {
    new Webhook(run.callbackSecret).verify(body, headers);
  } catch (error) {
    throw new CliError(`The callback's signature is not valid: ${error instanceof Error ? error.message : error}`);
  }
  const payload = JSON.parse(body) as CallbackPayload;
  const { build } = run;
  const reported = { ...payload.result, build_id: payload.build_id, status: payload.status };
  const expected: Record<string, unknown> = {
    build_id: build.id,
    status: build.status,
    success: build.result?.success,
    output: build.result?.output,
    publication: build.result?.publication,
    commit_sha: build.result?.commitSha,
    commit_url: build.result?.commitUrl,
    branch: build.result?.branch,
    duration_ms: build.result?.durationMs,
    session_id: build.result?.sessionId,
    files_changed: build.result?.filesChanged.map(({ previousPath, path, status, additions, deletions }) => ({
      path,
      previous_path: previousPath,
      status,
      additions,
      deletions,
    })),
  };
  for (const [name, value] of Object.entries(expected)) {
    const given: unknown = reported[name as keyof typeof reported];
    if (!isDeepStrictEqual(given, value)) {
      throw new CliError(`The callback says ${name} = ${JSON.stringify(given)}, the API ${JSON.stringify(value)}.`);
    }
  }
  return { deliveryId: headers['webhook-id'] ?? '', verified: true };
}
