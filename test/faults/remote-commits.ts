import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const run = promisify(execFile);
/** Of one remote, after an hour of builds. */
const MAX_OUTPUT = 64 * 1024 * 1024;

export interface RemoteCommit {
  readonly sha: string;
  /** The trailer `Slipway-Build`, as it stands there. */
  readonly build: string;
}

/** Every commit of a bare repository that a ref reaches and that names a build. */
export async function readRemoteCommits(path: string): Promise<readonly RemoteCommit[]> {
  const format = '%H %(trailers:key=Slipway-Build,valueonly,separator=%x20)';
  const { stdout } = await run('git', ['-C', path, 'log', '--all', `--format=${format}`], { maxBuffer: MAX_OUTPUT });
  return stdout.split('\n').flatMap((line) => {
    const [sha = '', build = ''] = line.split(' ');
    return build === '' ? [] : [{ sha, build }];
  });
}
