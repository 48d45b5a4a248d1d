/** What builds may reach, as callers write it. */
import { z } from 'zod';
import { hostPatternProblem, MAX_HOSTS, type NetworkAccess } from '../std/network-access.ts';

const hostPattern = z
  .string()
  .max(300)
  .superRefine((text, context) => {
    const problem = hostPatternProblem(text);
    if (problem) context.addIssue({ code: 'custom', message: problem });
  });

export const networkInput = z
  .strictObject({
    access: z.enum(['ALL', 'NONE', 'HOSTS']),
    hosts: z.array(hostPattern).max(MAX_HOSTS).nullish(),
  })
  .refine(({ access, hosts }) => (access === 'HOSTS') === (hosts?.length ?? 0) > 0, {
    path: ['hosts'],
    message: 'must be given with the access HOSTS, and only with it',
  });

export function toNetworkAccess({ access, hosts }: z.output<typeof networkInput>): NetworkAccess {
  return { access, hosts: hosts ?? [] };
}
