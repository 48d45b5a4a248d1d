/** The git credentials that are given with a project: a credential like others, under a name of its own. */
import { GIT_CREDENTIAL } from '../credentials/credential.ts';
import type { GitLogin } from '../credentials/credential-input.ts';
import { deleteCredentials, type SetCredentialDeps, setCredential } from '../credentials/set-credential.ts';
import type { DatabaseTransaction } from '../database/database.ts';
import { webOrigin } from '../git/remote-url.ts';

/** They are bound to the origin of `url`, and take the place of whatever the project had for it. */
export async function keepGitCredentials(
  trx: DatabaseTransaction,
  deps: SetCredentialDeps,
  given: {
    readonly projectId: string;
    readonly url: string | null;
    readonly login: GitLogin;
    readonly actor: string;
  },
): Promise<void> {
  const { projectId, url, login, actor } = given;
  const origin = webOrigin(url);
  if (url === null || origin === null) throw new Error('git credentials need an http or https URL');
  const sameTarget = (credential: { name: string; target: string | null }) =>
    credential.name !== GIT_CREDENTIAL && credential.target === origin;
  await deleteCredentials(trx, { projectId, kind: 'GIT', actor, which: sameTarget });
  await setCredential(trx, deps, { input: { projectId, name: GIT_CREDENTIAL, git: { ...login, url } }, actor });
}

/** Those that were given with the project's former URL; `origin` is that of the URL it has now. */
export async function dropForeignGitCredentials(
  trx: DatabaseTransaction,
  { projectId, origin, actor }: { readonly projectId: string; readonly origin: string | null; readonly actor: string },
): Promise<void> {
  const foreign = (credential: { name: string; target: string | null }) =>
    credential.name === GIT_CREDENTIAL && credential.target !== origin;
  await deleteCredentials(trx, { projectId, kind: 'GIT', actor, which: foreign });
}
