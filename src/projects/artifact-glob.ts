import { z } from 'zod';
import { globProblem } from '../std/glob.ts';

/** Names files of a checkout. */
export const checkoutGlob = checkedGlob({});

/** Names files of a checkout that are kept when a build ends. */
export const artifactGlob = checkedGlob({ params: { code: 'ARTIFACT_PATH' } });

function checkedGlob(issue: { readonly params?: { readonly code: string } }) {
  return z.string().superRefine((glob, context) => {
    const message = globProblem(glob);
    if (message) context.addIssue({ code: 'custom', message, ...issue });
  });
}
