/** One stored file of a build, for whoever may read the build. */
import { Readable } from 'node:stream';
import type { HttpBindings } from '@hono/node-server';
import type { Context } from 'hono';
import { ARTIFACT_COST } from '../../schema/limits.ts';
import { type Artifact, findArtifact } from '../artifacts/artifact.ts';
import { can, seesProject, type Viewer } from '../auth/viewer.ts';
import { findBuild } from '../builds/build.ts';
import type { Orchestrator } from '../orchestrator.ts';
import { fromPublicId } from '../std/public-id.ts';
import type { Authenticator } from './authenticator.ts';
import { parseRange } from './byte-range.ts';
import { namesTag } from './entity-tag.ts';
import { problem, unauthenticated } from './problem.ts';
import type { RateLimits } from './rate-limits.ts';
import type { TokenCounter } from './token-counter.ts';
import type { TokenWatch } from './token-watch.ts';

export interface SendArtifactDeps {
  readonly orchestrator: Orchestrator;
  readonly authenticator: Authenticator;
  /** Null where nothing is limited. */
  readonly rateLimits: RateLimits | null;
  /** Those that are being sent. */
  readonly downloads: TokenCounter;
  readonly tokens: TokenWatch;
}

/**
 * Answers GET and HEAD of `/artifacts/:id`: 200, 206, 304, 401, 403, 404, 416 or 429. A token that is lost while the
 * content is on its way cuts it.
 */
export async function sendArtifact(deps: SendArtifactDeps, { req, env }: Context): Promise<Response> {
  const { orchestrator, authenticator, rateLimits, downloads, tokens } = deps;
  const { incoming, outgoing } = env as HttpBindings;
  const address = incoming.socket.remoteAddress;
  const viewer = await authenticator.identify({ authorization: req.header('authorization'), address });
  if (!viewer) return unauthenticated();
  await rateLimits?.spend(viewer.tokenId, ARTIFACT_COST);
  if (!can(viewer, 'builds:read')) return problem({ status: 403, detail: 'This needs the scope builds:read.' });
  const id = req.param('id') ?? '';
  const artifact = await findVisible(orchestrator, viewer, id);
  if (!artifact) return problem({ status: 404, detail: `There is no artifact ${id}.` });
  const { sizeBytes } = artifact;
  const headers = headersOf(artifact);
  if (namesTag(req.header('if-none-match'), headers.etag)) return new Response(null, { status: 304, headers });
  const isPart = req.method === 'GET' && (req.header('if-range') ?? headers.etag) === headers.etag;
  const range = isPart ? parseRange(req.header('range'), sizeBytes) : null;
  if (range === 'unsatisfiable') {
    const contentRange = { 'content-range': `bytes */${sizeBytes}` };
    return problem({ status: 416, detail: 'The range lies outside the artifact.', headers: contentRange });
  }
  const { start, end } = range ?? { start: 0, end: sizeBytes - 1 };
  const init = {
    status: range ? 206 : 200,
    headers: {
      ...headers,
      'content-length': String(end - start + 1),
      ...(range && { 'content-range': `bytes ${start}-${end}/${sizeBytes}` }),
    },
  };
  if (req.method === 'HEAD') return new Response(null, init);
  const place = downloads.enter(viewer.tokenId);
  if (!place) {
    const detail = 'This token downloads too much at the same time.';
    return problem({ status: 429, detail, headers: { 'retry-after': '1' } });
  }
  const file = await orchestrator.artifacts.open(artifact.sha256, range ?? undefined).catch((error: unknown) => {
    place.leave();
    throw error;
  });
  if (!file) {
    place.leave();
    const detail = `The content of the artifact ${id} is not in the data folder of this process: it is gone, or its worker has another one.`;
    return problem({ status: 404, detail });
  }
  const unwatch = tokens.watch(viewer, () => outgoing.destroy());
  file.once('close', () => {
    place.leave();
    unwatch();
  });
  return new Response(Readable.toWeb(file) as ReadableStream, init);
}

/** Null also when the viewer may not know that there is one. */
async function findVisible({ db }: Orchestrator, viewer: Viewer, publicId: string): Promise<Artifact | null> {
  const id = fromPublicId('artifact', publicId);
  const artifact = id === null ? null : await findArtifact(db, id);
  const build = artifact && (await findBuild(db, artifact.buildId));
  return build && seesProject(viewer, build.projectId) ? artifact : null;
}

/** An agent wrote it: a browser must save it, and never show it as one of our pages. */
function headersOf({ name, contentType, sha256 }: Artifact) {
  const fileName = encodeURIComponent(name.split('/').at(-1) ?? name).replaceAll("'", '%27');
  return {
    'content-type': contentType,
    'content-disposition': `attachment; filename*=UTF-8''${fileName}`,
    'content-security-policy': "sandbox; default-src 'none'",
    'accept-ranges': 'bytes',
    'cache-control': 'private, max-age=31536000, immutable',
    etag: `"${sha256}"`,
    vary: 'Authorization',
  };
}
