import { readFile } from 'node:fs/promises';
import {
  type GraphQLNamedType,
  isEnumType,
  isInputObjectType,
  isInterfaceType,
  isObjectType,
  isUnionType,
  lexicographicSortSchema,
  printSchema,
} from 'graphql';
import { describe, expect, it } from 'vitest';
import { schema } from '../../schema/index.ts';

const types = Object.values(schema.getTypeMap()).filter((type) => !type.name.startsWith('__'));

/** Every name of a type that a reader of the SDL meets, with its description. */
function describedParts(type: GraphQLNamedType): [string, string | null | undefined][] {
  const parts: [string, string | null | undefined][] = [[type.name, type.description]];
  if (isEnumType(type)) for (const v of type.getValues()) parts.push([`${type.name}.${v.name}`, v.description]);
  if (isInputObjectType(type)) {
    for (const f of Object.values(type.getFields())) parts.push([`${type.name}.${f.name}`, f.description]);
  }
  if (isObjectType(type) || isInterfaceType(type)) {
    for (const field of Object.values(type.getFields())) {
      parts.push([`${type.name}.${field.name}`, field.description]);
      for (const a of field.args) parts.push([`${type.name}.${field.name}(${a.name})`, a.description]);
    }
  }
  return parts;
}

describe('the schema', () => {
  it('is the one in schema.graphql', async () => {
    const committed = await readFile(new URL('../../schema/schema.graphql', import.meta.url), 'utf8');
    expect(committed).toBe(`${printSchema(lexicographicSortSchema(schema))}\n`);
  });

  it('describes every type, field, argument and value', () => {
    const builtIn = ['String', 'Boolean', 'Int', 'Float', 'ID'];
    const parts = types.filter((type) => !builtIn.includes(type.name)).flatMap(describedParts);
    expect(parts.filter(([, description]) => !description?.trim()).map(([name]) => name)).toEqual([]);
    expect(parts.length).toBeGreaterThan(300);
  });

  it('answers every mutation with a union of its payload and UserErrors', () => {
    for (const field of Object.values(schema.getMutationType()?.getFields() ?? {})) {
      const name = `${field.name.charAt(0).toUpperCase()}${field.name.slice(1)}`;
      expect(String(field.type)).toBe(`${name}Result!`);
      expect(field.args.map((argument) => argument.name)).toEqual(['input']);
      const union = schema.getType(`${name}Result`);
      if (!isUnionType(union)) throw new Error(`${name}Result is no union`);
      const [payloads, errors] = [true, false].map((isPayload) =>
        union.getTypes().filter((member) => member.name.endsWith('Payload') === isPayload),
      );
      expect(payloads?.map((member) => member.name)).toEqual([`${name}Payload`]);
      for (const error of errors ?? []) {
        expect(error.getInterfaces().map((parent) => parent.name)).toContain('UserError');
      }
      expect(errors?.length).toBeGreaterThan(0);
    }
  });

  it('asks for a scope on every root field but what a token knows of itself', () => {
    const roots = [schema.getQueryType(), schema.getMutationType(), schema.getSubscriptionType()];
    const open = roots.flatMap((root) =>
      Object.values(root?.getFields() ?? {}).filter((field) => !pothosOptions(field.extensions)?.authScopes),
    );
    expect(open.map((field) => field.name).toSorted()).toEqual(['rateLimit', 'viewer']);
  });
});

function pothosOptions(extensions: unknown): { authScopes?: unknown } | undefined {
  return (extensions as { pothosOptions?: { authScopes?: unknown } }).pothosOptions;
}
