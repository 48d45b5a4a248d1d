/** One stored file of a build, for whoever may read the build. */
import { Readable } from 'node:stream';
import type { Context } from 'hono';
import { type Artifact, findArtifact } from '../artifacts/artifact.ts';
import { authenticate } from '../auth/authenticate.ts';
import { can, seesProject, type Viewer } from '../auth/viewer.ts';
import { findBuild } from '../builds/build.ts';
import type { Orchestrator } from '../orchestrator.ts';
import { fromPublicId } from '../std/public-id.ts';
import { parseRange } from './byte-range.ts';
import { problem } from './problem.ts';

/** Answers GET and HEAD of `/artifacts/:id`: 200, 206, 304, 401, 403, 404 or 416. */
export async function sendArtifact(orchestrator: Orchestrator, { req }: Context): Promise<Response> {
  const viewer = await authenticate(orchestrator.db, req.header('authorization'));
  if (!viewer) {
    const headers = { 'www-authenticate': 'Bearer' };
    return problem({ status: 401, detail: 'Send a valid token: Authorization: Bearer slipway_…', headers });
  }
  if (!can(viewer, 'builds:read')) return problem({ status: 403, detail: 'This needs the scope builds:read.' });
  const id = req.param('id') ?? '';
  const artifact = await findVisible(orchestrator, viewer, id);
  if (!artifact) return problem({ status: 404, detail: `There is no artifact ${id}.` });
  const { sizeBytes } = artifact;
  const headers = headersOf(artifact);
  if (req.header('if-none-match') === headers.etag) return new Response(null, { status: 304, headers });
  const range = parseRange(req.header('range'), sizeBytes);
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
  const file = await orchestrator.artifacts.open(artifact.sha256, range ?? undefined);
  if (!file) return problem({ status: 404, detail: `The content of the artifact ${id} is gone.` });
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
  };
}
