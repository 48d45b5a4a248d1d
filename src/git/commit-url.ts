/** The first that matches the host decides. Self-hosted servers are known by how people name them. */
const PAGES: readonly (readonly [RegExp, string])[] = [
  [/^github\.com$|^github\./, '/commit/'],
  [/^gitlab\.com$|^gitlab\./, '/-/commit/'],
  [/^bitbucket\.org$/, '/commits/'],
  [/^codeberg\.org$|^gitea\.|^forgejo\./, '/commit/'],
];

/** The page of a commit for people; null when the host is not known to have one. */
export function commitUrl(remoteUrl: string, sha: string): string | null {
  const scpLike = /^[^/:@]+@([^/:]+):(?:\/)?(.+)$/.exec(remoteUrl);
  const web = /^(https?):\/\/([^/]+)\/(.+)$/.exec(remoteUrl);
  const ssh = /^ssh:\/\/(?:[^/@]+@)?([^/:]+)(?::\d+)?\/(.+)$/.exec(remoteUrl);
  // ssh says nothing of the web server but its name.
  const origin = web ? `${web[1]}://${web[2]}` : `https://${(ssh ?? scpLike)?.[1]}`;
  const path = web?.[3] ?? (ssh ?? scpLike)?.[2];
  const host = URL.parse(origin)?.hostname;
  const page = PAGES.find(([pattern]) => host !== undefined && pattern.test(host))?.[1];
  if (path === undefined || page === undefined) return null;
  const repository = path.replace(/\/+$/, '').replace(/\.git$/, '');
  return `${origin}/${repository}${page}${sha}`;
}
