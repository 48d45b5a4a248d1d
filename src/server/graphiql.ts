/** GraphiQL from our own server: it works without the internet. */
import type { GraphiQLOptions } from 'graphql-yoga';

const DEFAULT_QUERY = `# Welcome to Slipway. Put your token under "Headers": { "Authorization": "Bearer slipway_…" }
# Ctrl-Space completes, Ctrl-Enter runs; subscriptions run here, too.

query Overview {
  builds(first: 10) {
    edges {
      node {
        id
        status
        phase
        createdAt
      }
    }
  }
}
`;

const OPTIONS: GraphiQLOptions = {
  title: 'Slipway GraphiQL',
  defaultQuery: DEFAULT_QUERY,
  headers: '{\n  "Authorization": "Bearer "\n}',
  shouldPersistHeaders: true,
  // Over WebSocket GraphiQL would not send the token of its headers tab.
  subscriptionsProtocol: 'SSE',
};

/**
 * The page asks for the schema when it opens, which is before it has a token, and not again by itself. It presses its own
 * button as soon as a request with a token has been answered, or a token has been typed and the page has stored it.
 */
const FETCH_SCHEMA_AGAIN = `<script>
(() => {
  const send = window.fetch;
  const stored = () => Object.values(localStorage).join().match(/slipway_[0-9A-Za-z]{20,}/g)?.join() ?? '';
  let refusedWith = null;
  const again = () => {
    refusedWith = null;
    document.querySelector('button[aria-label^="Re-fetch GraphQL schema"]')?.click();
  };
  window.fetch = async (...request) => {
    const tokens = stored();
    const response = await send(...request);
    if (response.status === 401) refusedWith = tokens;
    else if (refusedWith !== null) again();
    return response;
  };
  setInterval(() => {
    if (refusedWith !== null && stored() !== refusedWith) again();
  }, 500);
})();
</script>`;

/** Yoga's options for it. The page is 9 MB, so it is loaded only when asked for, and made once. */
export async function loadGraphiql(): Promise<{ graphiql: GraphiQLOptions; renderGraphiQL: () => string }> {
  const { renderGraphiQL } = await import('@graphql-yoga/render-graphiql');
  let page: string | null = null;
  return {
    graphiql: OPTIONS,
    renderGraphiQL() {
      page ??= renderGraphiQL(OPTIONS).replace('<head>', () => `<head>${FETCH_SCHEMA_AGAIN}`);
      return page;
    },
  };
}
