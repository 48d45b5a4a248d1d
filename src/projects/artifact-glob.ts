import { z } from 'zod';
import { globProblem } from '../std/glob.ts';

/** Names files of a checkout that are kept when a build ends. */
export const artifactGlob = z.string().superRefine((glob, context) => {
  const message = globProblem(glob);
  if (message) context.addIssue({ code: 'custom', message });
});
