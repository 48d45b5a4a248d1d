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

/** Yoga's options for it. The page is 9 MB, so it is loaded only when asked for, and made once. */
export async function loadGraphiql(): Promise<{ graphiql: GraphiQLOptions; renderGraphiQL: () => string }> {
  const { renderGraphiQL } = await import('@graphql-yoga/render-graphiql');
  let page: string | null = null;
  return {
    graphiql: OPTIONS,
    renderGraphiQL() {
      page ??= renderGraphiQL(OPTIONS);
      return page;
    },
  };
}
