/** Every process of a build carries this variable, and so do all that it starts, setsid or not. */
export const BUILD_MARK = 'SLIPWAY_BUILD_ID';

/** The entry as it stands in a process's environment. */
export function buildMark(buildId: string): string {
  return `${BUILD_MARK}=${buildId}`;
}
