/** Every process of a build carries this variable, and so do all that it starts, setsid or not. */
export const BUILD_MARK = 'SLIPWAY_BUILD_ID';
/** Beside it: which workspace of the build. Workers of one machine with folders of their own may each have had it. */
export const WORKSPACE_MARK = 'SLIPWAY_WORKSPACE';

/** The file in which a program that is talked to finds its words. */
export const INBOX_VARIABLE = 'SLIPWAY_INBOX';

/** The entry as it stands in a process's environment; `root` is the workspace's. */
export function workspaceMark(root: string): string {
  return `${WORKSPACE_MARK}=${root}`;
}
