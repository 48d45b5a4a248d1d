/** The zod object of a body with the descriptions of the GraphQL input that it becomes. */
import { z } from '@hono/zod-openapi';
import { type GraphQLInputType, type GraphQLSchema, getNamedType, isInputObjectType, Kind, typeFromAST } from 'graphql';
import type { Endpoint } from './endpoint.ts';

export function describeInput(schema: GraphQLSchema, endpoint: Endpoint): z.ZodType {
  const { body } = endpoint;
  if (!body) throw new Error('an endpoint without a body');
  const [operation] = endpoint.document.definitions.filter(({ kind }) => kind === Kind.OPERATION_DEFINITION);
  const variables = operation?.kind === Kind.OPERATION_DEFINITION ? (operation.variableDefinitions ?? []) : [];
  const input = variables.find(({ variable }) => variable.name.value === 'input');
  const type = input && typeFromAST(schema, input.type);
  return type ? described(body.schema, type as GraphQLInputType) : body.schema;
}

/** What a check within an object asks of its members together is lost: a document could not say it. */
function described(value: z.ZodType, type: GraphQLInputType): z.ZodType {
  if (value instanceof z.ZodOptional) return described(value.unwrap() as z.ZodType, type).optional();
  if (value instanceof z.ZodNullable) return described(value.unwrap() as z.ZodType, type).nullable();
  const named = getNamedType(type);
  if (!isInputObjectType(named)) return value;
  if (value instanceof z.ZodArray)
    return value.clone({ ...value.def, element: described(value.element as z.ZodType, named) });
  if (!(value instanceof z.ZodObject)) return value;
  const fields = named.getFields();
  const shape = Object.entries(value.shape as Record<string, z.ZodType>).map(([name, member]) => {
    const field = fields[name];
    if (!field) return [name, member] as const;
    const inner = described(member, field.type);
    return [name, field.description ? inner.describe(field.description) : inner] as const;
  });
  return z.strictObject(Object.fromEntries(shape)).openapi(named.name);
}
