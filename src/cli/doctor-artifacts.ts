/** Do artifacts outlive this pod, and do other processes see them? */
import { join, resolve } from 'node:path';
import type { Config } from '../config/config.ts';
import { isInEmptyDir } from '../runtimes/kubernetes/empty-dir.ts';
import { type Finding, finding } from './finding.ts';

export const ARTIFACTS_ARE_LOST =
  'artifacts are kept in a folder of this pod: no other process can send them, and they are gone with the pod';
export const SHARE_ARTIFACTS =
  'Give API and workers one volume: components/shared-data or components/node-data in deploy/kustomize.';

/** Empty where nothing is wrong. */
export async function checkArtifacts({ runtime, dataFolder }: Pick<Config, 'runtime' | 'dataFolder'>) {
  const folder = join(resolve(dataFolder), 'artifacts');
  const findings: Finding[] = [];
  if (runtime === 'kubernetes' && (await isInEmptyDir(folder))) {
    findings.push(finding('warn', 'artifacts', `${folder}: ${ARTIFACTS_ARE_LOST}`, SHARE_ARTIFACTS));
  }
  return findings;
}
