/** The credentials of one task, chosen and opened where the master key is. */
import { chooseCredential, everySecret, loginSecrets } from '../builds/open-secrets.ts';
import type { Config } from '../config/config.ts';
import { gitCredentials } from '../credentials/credential-input.ts';
import { deploySecrets, openDeploy } from '../credentials/deploy-credential.ts';
import type { Keyring } from '../credentials/keyring.ts';
import { type OpenedCredential, readCredentials, recordUse } from '../credentials/read-credentials.ts';
import type { Database } from '../database/database.ts';
import { webOrigin } from '../git/remote-url.ts';
import { findProject } from '../projects/project.ts';
import { deployPayload } from './task-payload.ts';
import type { OpenedTaskSecrets, TaskToRun } from './task-run.ts';

export interface OpenTaskSecretsDeps {
  readonly db: Database;
  readonly config: Config;
  readonly keyring: Keyring;
}

/**
 * Those of its repository, and of the environment that it deploys to: the task itself names it, nobody else. Nothing where
 * the project is gone. `elsewhere`: nothing of the others is named, for a machine that has none of them.
 */
export async function openTaskSecrets(
  deps: OpenTaskSecretsDeps,
  task: Pick<TaskToRun, 'projectId' | 'type' | 'payload'>,
  { elsewhere }: { readonly elsewhere: boolean },
): Promise<OpenedTaskSecrets> {
  const project = await findProject(deps.db, task.projectId);
  if (!project) return { git: null, deploy: null, hidden: [] };
  const found = await readCredentials(deps, { projectId: project.id });
  const git = chooseCredential(found, 'GIT', webOrigin(project.repositoryUrl));
  const environment = task.type === 'deploy' ? deployPayload.parse(task.payload).environment : null;
  const deploy = chooseCredential(found, 'DEPLOY', environment);
  const used = [git, deploy].filter((one): one is OpenedCredential => one !== null && 'value' in one);
  await recordUse(
    deps.db,
    used.map(({ id }) => id),
  );
  const opened = {
    git: git && ('value' in git ? gitCredentials.parse(JSON.parse(git.value)) : unreadable(git)),
    deploy: deploy && ('value' in deploy ? openDeploy(deploy.value) : unreadable(deploy)),
  };
  const own = [
    ...(opened.git && 'password' in opened.git ? loginSecrets(opened.git) : []),
    ...(deploy && 'value' in deploy ? deploySecrets(deploy.value) : []),
  ];
  return { ...opened, hidden: elsewhere ? own : everySecret(deps, project, found) };
}

function unreadable({ name, reason }: { readonly name: string; readonly reason: string }) {
  return { name, reason };
}
