/** The secrets of one build: which it uses, and everything that nothing of it may show. */
import type { Agent, ModelKey } from '../agents/agent.ts';
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
import type { Project } from '../projects/project.ts';
import { MIN_SECRET_LENGTH } from '../runtimes/redact.ts';
import { type BuildFailure, failure } from './build-result.ts';
import type { Ledger } from './ledger.ts';
import type { Registry } from './npm-config.ts';
import { BuildFailedError, type RunBuildDeps } from './running-build.ts';

/** From this length on a user name may be a token: some hosts take one in its place. */
const MIN_TOKEN_LENGTH = 16;

export interface BuildSecrets {
  /** Of the repository's origin, and of no other. */
  readonly git: GitCredentials | null;
  /** Null: the agent needs none, or has the worker's own. */
  readonly modelKey: ModelKey | null;
  /** Which key that is, for builds that use the same: the credential's id, or `worker`. Chosen as in quota-pause.ts. */
  readonly keyIdentity: string;
  /** Why the agent cannot be started. */
  readonly problem: BuildFailure | null;
  readonly registries: readonly Registry[];
  /** Everything, also what this build does not use; shorter ones are no secrets: they would blacken common words. */
  readonly all: readonly string[];
}

/** Throws BuildFailedError when the credential of the repository is there and cannot be opened. */
export async function readBuildSecrets(
  deps: Pick<RunBuildDeps, 'config' | 'keyring' | 'logger'>,
  ledger: Ledger,
  { project, agent }: { readonly project: Project; readonly agent: Agent },
): Promise<BuildSecrets> {
  const { keyring } = deps;
  const found = await ledger.read((db) => readCredentials({ db, keyring }, { projectId: project.id }));
  for (const { name, reason } of found.unreadable) deps.logger.warn({ name, reason }, 'a credential cannot be opened');
  const git = chooseCredential(found, 'GIT', webOrigin(project.repositoryUrl));
  if (git && 'reason' in git) throw new BuildFailedError(unreadable(git));
  const model = chooseCredential(found, 'MODEL_API_KEY', agent.modelKey?.variable ?? null);
  const registries = ownRegistries(found);
  const used = [git, model && 'value' in model ? model : null, ...registries].filter((one) => one !== null);
  await ledger.read((db) =>
    recordUse(
      db,
      used.map(({ id }) => id),
    ),
  );
  return {
    git: git && gitCredentials.parse(JSON.parse(git.value)),
    modelKey: model && 'value' in model ? { key: model.value, baseUrl: model.baseUrl } : null,
    keyIdentity: model?.id ?? 'worker',
    problem: modelProblem(agent, model),
    registries: registries.map(({ target, value }) => ({ url: target ?? '', token: value })),
    all: everySecret(deps, project, found),
  };
}

/** All that nothing of the project may show: its own, those of all projects, and the worker's. */
export function everySecret(
  deps: Pick<RunBuildDeps, 'config' | 'keyring'>,
  project: Project,
  found: ProjectCredentials,
): readonly string[] {
  const all = [...ownSecrets(deps), ...derivedSecrets(deps, project), ...found.opened.flatMap(secretsOf)];
  return [...new Set(all)].filter((secret) => secret.length >= MIN_SECRET_LENGTH);
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

function modelProblem({ name, modelKey }: Agent, model: Chosen | null): BuildFailure | null {
  if (modelKey === null) return null;
  if (model && 'reason' in model) return unreadable(model);
  if (model || modelKey.hasDefault) return null;
  const message = `${name} needs a key, and neither the project nor the worker has one for ${modelKey.variable}.`;
  return failure('PROVIDER_AUTH', 'PREPARING', message);
}

function unreadable({ name, reason }: { readonly name: string; readonly reason: string }): BuildFailure {
  return failure('CREDENTIAL_UNREADABLE', 'PREPARING', `The credential ${name} cannot be opened. ${reason}`);
}

function secretsOf({ kind, value, previous }: OpenedCredential): readonly string[] {
  if (kind === 'CALLBACK_SIGNING') return [value, previous ?? ''].flatMap(signingTexts);
  if (kind === 'DEPLOY') return deploySecrets(value);
  if (kind !== 'GIT') return [value];
  const { username, password } = gitCredentials.parse(JSON.parse(value));
  return username.length >= MIN_TOKEN_LENGTH ? [password, username] : [password];
}

function derivedSecrets({ keyring }: Pick<RunBuildDeps, 'keyring'>, project: Project): readonly string[] {
  return signingTexts(callbackSecret(keyring, { projectId: project.id, version: project.secretVersion }));
}

function signingTexts(secret: string): readonly string[] {
  return [secret, secret.slice('whsec_'.length)];
}

/** The worker's own: an agent that is not locked in could find them in its environment and files. */
function ownSecrets({ config, keyring }: Pick<RunBuildDeps, 'config' | 'keyring'>): readonly string[] {
  return [...secretOptions(config), ...keyring.keys.map(({ secret }) => secret.export().toString('base64'))];
}
