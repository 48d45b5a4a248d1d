/** Files that were kept. */
import type { Config } from '../src/config/config.ts';
import { toPublicId } from '../src/std/public-id.ts';
import { ArtifactRef } from './refs.ts';

ArtifactRef.implement({
  description: 'A file of a build that is kept.',
  fields: (t) => ({
    name: t.exposeString('name', { description: 'Its path in the checkout.' }),
    contentType: t.exposeString('contentType', { description: 'A media type, by its extension.' }),
    sizeBytes: t.expose('sizeBytes', { type: 'SafeInt', description: 'Bytes.' }),
    sha256: t.exposeString('sha256', { description: 'In lower-case hex.' }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When it was kept.' }),
    url: t.string({
      description: 'Where it can be fetched, with the same token.',
      resolve: ({ id }, _args, { orchestrator, serverUrl }) =>
        `${publicUrl(orchestrator.config, serverUrl)}/artifacts/${toPublicId('artifact', id)}`,
    }),
  }),
});

function publicUrl({ publicUrl, host, port }: Config, serverUrl: string | null): string {
  if (publicUrl) return publicUrl.replace(/\/+$/, '');
  if (serverUrl) return serverUrl;
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
}
