/** One GraphQL operation over HTTP, with nothing between the test and the wire. */

export interface Endpoint {
  /** Of the GraphQL endpoint. */
  readonly url: string;
  readonly token: string | null;
}

/** JSON whose shape only the test knows. */
type Json = ReturnType<typeof JSON.parse>;

export interface GraphqlAnswer {
  readonly status: number;
  readonly data: Json;
  readonly errors: readonly {
    readonly message: string;
    readonly path?: readonly string[];
    readonly extensions: Json;
  }[];
}

export async function request({ url, token }: Endpoint, query: string, variables: object): Promise<GraphqlAnswer> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
    body: JSON.stringify({ query, variables }),
  });
  const { data = null, errors = [] } = (await response.json()) as Partial<GraphqlAnswer>;
  return { status: response.status, data, errors };
}

/** The data; throws when there is an error. */
export async function requestData(endpoint: Endpoint, query: string, variables: object): Promise<Json> {
  const { data, errors } = await request(endpoint, query, variables);
  if (errors.length > 0) throw new Error(JSON.stringify(errors));
  return data;
}
