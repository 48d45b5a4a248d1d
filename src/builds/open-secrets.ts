/** The credentials of one build, chosen and opened where the master key is. */
import { secretOptions } from '../config/config.ts';
import { callbackSecret } from '../credentials/callback-secret.ts';
import type { CredentialKind } from '../credentials/credential.ts';
import { gitCredentials } from '../credentials/credential-input.ts';
import { deploySecrets } from '../credentials/deploy-credential.ts';
import {
  type OpenedCredential,
  type ProjectCredentials,
  readCredentials,
  recordUse,
} from '../credentials/read-credentials.ts';
import type { GitCredentials } from '../git/askpass.ts';
import { webOrigin } from '../git/remote-url.ts';
import { findProject, type Project } from '../projects/project.ts';
import type { OpenedSecrets } from './ledger-store.ts';
import type { PostgresLedgerDeps } from './postgres-ledger.ts';

/** From this length on a user name may be a token: some hosts take one in its place. */
const MIN_TOKEN_LENGTH = 16;

type Deps = Pick<PostgresLedgerDeps, 'db' | 'config' | 'keyring' | 'logger'>;

/** Nothing where the project is gone. `variable`: in which the agent takes its key. */
export async function openSecrets(
  deps: Deps,
  { projectId, variable }: { readonly projectId: string; readonly variable: string | null },
): Promise<OpenedSecrets> {
  const project = await findProject(deps.db, projectId);
  if (!project) return { git: null, model: null, registries: [], hidden: [] };
  const found = await readCredentials(deps, { projectId });
  for (const { name, reason } of found.unreadable) deps.logger.warn({ name, reason }, 'a credential cannot be opened');
  const git = chooseCredential(found, 'GIT', webOrigin(project.repositoryUrl));
  const model = chooseCredential(found, 'MODEL_API_KEY', variable);
  const registries = ownRegistries(found);
  const used = [git, model, ...registries].filter((one) => one !== null && 'value' in one);
  await recordUse(
    deps.db,
    used.map((one) => one?.id ?? ''),
  );
  return {
    git: git && ('value' in git ? loginOf(git) : unreadable(git)),
    model: model && ('value' in model ? { id: model.id, key: model.value, baseUrl: model.baseUrl } : unreadable(model)),
    registries: registries.map(({ target, value }) => ({ url: target ?? '', token: value })),
    hidden: everySecret(deps, project, found),
  };
}

/** All that nothing of the project may show: its own, those of all projects, and the worker's. */
export function everySecret(
  deps: Pick<Deps, 'config' | 'keyring'>,
  project: Project,
  found: ProjectCredentials,
): readonly string[] {
  return [...ownSecrets(deps), ...derivedSecrets(deps, project), ...found.opened.flatMap(secretsOf)];
}

/** What a machine that is given only these comes by: nothing of the others is hidden from it, for it has none of them. */
export function withoutOthers({ git, model, registries }: OpenedSecrets): OpenedSecrets {
  const hidden = [
    ...(git && 'password' in git ? loginSecrets(git) : []),
    ...(model && 'key' in model ? [model.key] : []),
    ...registries.map(({ token }) => token),
  ];
  return { git, model, registries, hidden };
}

type Chosen = ProjectCredentials['opened'][number] | ProjectCredentials['unreadable'][number];

/** The project's own goes before that of every project, also when it cannot be opened. */
export function chooseCredential(
  found: ProjectCredentials,
  kind: CredentialKind,
  target: string | null,
): Chosen | null {
  const fitting = [...found.opened, ...found.unreadable].filter(
    (one) => one.kind === kind && target !== null && (one.target === target || webOrigin(one.target) === target),
  );
  return fitting.find(({ projectId }) => projectId !== null) ?? fitting[0] ?? null;
}

/** One of each URL; none where the one to use cannot be opened. */
function ownRegistries(found: ProjectCredentials): readonly OpenedCredential[] {
  const targets = new Set(found.opened.flatMap(({ kind, target }) => (kind === 'REGISTRY' ? [target] : [])));
  return [...targets].flatMap((target) => {
    const chosen = chooseCredential(found, 'REGISTRY', target);
    return chosen && 'value' in chosen ? [chosen] : [];
  });
}

function unreadable({ name, reason }: { readonly name: string; readonly reason: string }) {
  return { name, reason };
}

function loginOf({ value }: OpenedCredential): GitCredentials {
  return gitCredentials.parse(JSON.parse(value));
}

export function loginSecrets({ username, password }: GitCredentials): readonly string[] {
  return username.length >= MIN_TOKEN_LENGTH ? [password, username] : [password];
}

function secretsOf(credential: OpenedCredential): readonly string[] {
  const { kind, value, previous } = credential;
  if (kind === 'CALLBACK_SIGNING') return [value, previous ?? ''].flatMap(signingTexts);
  if (kind === 'DEPLOY') return deploySecrets(value);
  return kind === 'GIT' ? loginSecrets(loginOf(credential)) : [value];
}

function derivedSecrets({ keyring }: Pick<Deps, 'keyring'>, project: Project): readonly string[] {
  return signingTexts(callbackSecret(keyring, { projectId: project.id, version: project.secretVersion }));
}

function signingTexts(secret: string): readonly string[] {
  return [secret, secret.slice('whsec_'.length)];
}

/** The server's own: an agent beside it that is not locked in could find them in its environment and files. */
function ownSecrets({ config, keyring }: Pick<Deps, 'config' | 'keyring'>): readonly string[] {
  return [...secretOptions(config), ...keyring.keys.map(({ secret }) => secret.export().toString('base64'))];
}
