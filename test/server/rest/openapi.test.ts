import { Ajv2020 } from 'ajv/dist/2020.js';
import { type GraphQLObjectType, getNamedType, isLeafType, validate } from 'graphql';
import { expect, it } from 'vitest';
import { schema } from '../../../schema/index.ts';
import { createDocumentation } from '../../../src/server/rest/openapi.ts';
import { createRestRoutes, ENDPOINTS } from '../../../src/server/rest/rest-routes.ts';

type Json = ReturnType<typeof JSON.parse>;

const documentation = createDocumentation(schema, ENDPOINTS);

/** Every object in it, with its place. */
function* walk(value: Json, place = '#'): Generator<readonly [place: string, value: Json]> {
  if (typeof value !== 'object' || value === null) return;
  yield [place, value];
  for (const [key, inner] of Object.entries(value)) yield* walk(inner, `${place}/${key}`);
}

it('has every route of the app, and the app every route that it has', async () => {
  const { paths } = (await documentation()) as Json;
  const documented = Object.entries<Json>(paths).flatMap(([path, item]) =>
    Object.keys(item).map((method) => `${method.toUpperCase()} ${path}`),
  );
  const app = createRestRoutes({ orchestrator: { config: { allowedOrigins: [] } }, schema } as unknown as Parameters<
    typeof createRestRoutes
  >[0]);
  const routes = app.routes
    .filter(({ method, path }) => method !== 'ALL' && path !== '/openapi.json')
    .map(({ method, path }) => `${method} ${path.replaceAll(/:(\w+)/g, '{$1}')}`);
  expect(documented.toSorted()).toEqual(routes.toSorted());
});

it('follows the rules of OpenAPI 3.1', async () => {
  const document = JSON.parse(JSON.stringify(await documentation())) as Json;
  expect(document.openapi).toBe('3.1.0');
  const ajv = new Ajv2020({ strict: false, allErrors: true });
  for (const format of ['date-time', 'uuid']) ajv.addFormat(format, true);
  ajv.addSchema({ $id: 'http://slipway/', components: document.components });
  const operationIds: string[] = [];
  for (const [place, value] of walk(document)) {
    if (typeof value.$ref === 'string') {
      const [, , kind, name] = value.$ref.split('/');
      expect(document.components[kind]?.[name], `${place} -> ${value.$ref}`).toBeDefined();
    }
    expect(value, place).not.toHaveProperty('nullable');
    if (value.operationId) operationIds.push(value.operationId);
  }
  expect(new Set(operationIds).size).toBe(ENDPOINTS.length);
  for (const [path, item] of Object.entries<Json>(document.paths)) {
    const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
    for (const operation of Object.values<Json>(item)) {
      const { parameters = [], responses, requestBody, security } = operation;
      const named = parameters.filter((one: Json) => one.in === 'path');
      expect(named.map(({ name, required }: Json) => [name, required])).toEqual(inPath.map((name) => [name, true]));
      for (const parameter of parameters) expect(parameter, path).toMatchObject({ description: expect.any(String) });
      expect(security[0].token.length).toBeGreaterThan(0);
      expect(Object.keys(responses)).toEqual(expect.arrayContaining(['400', '401', '403', '405', '429', '500', '503']));
      for (const response of Object.values<Json>(responses)) expect(response.description).not.toBe('');
      const contents = [requestBody, ...Object.values<Json>(responses)].flatMap((one) =>
        Object.values<Json>(one?.content ?? {}),
      );
      for (const content of contents) {
        const check = ajv.compile(JSON.parse(JSON.stringify(content.schema).replaceAll('"#/', '"http://slipway/#/')));
        if (content.example)
          expect({ path, valid: check(content.example), errors: check.errors }).toMatchObject({ valid: true });
      }
    }
  }
});

it('describes every member of what is sent and answered', async () => {
  const document = (await documentation()) as Json;
  const silent = [...walk(document.components.schemas, '#/components/schemas')]
    .filter(([place]) => /\/properties\/\w+$/.test(place))
    .filter(([, value]) => !value.$ref && !value.allOf && !value.description && !value.const && !value.enum)
    .map(([place]) => place);
  expect(silent).toEqual([]);
});

it.each([
  ['Build', 'Build', []],
  ['BuildSpec', 'Build', ['spec']],
  ['BuildResult', 'Build', ['result']],
  ['BuildLimits', 'Build', ['spec', 'limits']],
  ['Task', 'TaskStatus', []],
  ['TaskStats', 'TaskStats', []],
])('has each fact of a %s that GraphQL has', async (type, noun, path) => {
  const { components } = (await documentation()) as Json;
  const object = path.reduce((value: Json, name) => {
    const member = value.properties[name];
    return member.properties ? member : member.anyOf[0];
  }, components.schemas[noun]);
  const fields = Object.values((schema.getType(type) as GraphQLObjectType).getFields());
  const leaves = fields.filter((field) => isLeafType(getNamedType(field.type))).map(({ name }) => name);
  expect(Object.keys(object.properties)).toEqual(expect.arrayContaining(leaves));
});

it('each operation is valid for the schema', () => {
  for (const endpoint of ENDPOINTS) {
    const errors = validate(schema, endpoint.document);
    expect({ name: endpoint.name, errors }).toEqual({ name: endpoint.name, errors: [] });
  }
});
