/** The secret that signs a project's callbacks: derived when it is needed, never stored. */
import { deriveKey, type MasterKey } from './master-key.ts';

export interface CallbackSecretInput {
  /** UUID without prefix. */
  readonly projectId: string;
  /** `projects.secret_version`: raising it is a new secret. */
  readonly version: number;
}

/** `whsec_` and 32 bytes in base64, as Standard Webhooks writes secrets. */
export function callbackSecret(masterKey: MasterKey, input: CallbackSecretInput): string {
  return `whsec_${deriveKey(masterKey, `callback ${input.projectId} ${input.version}`).toString('base64')}`;
}
