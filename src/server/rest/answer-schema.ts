/**
 * A selection of the GraphQL schema -> the zod object of what it answers. An answer of REST is the answer of an operation,
 * so both have the same facts; their types and descriptions are written once, in `schema`.
 */
import { z } from '@hono/zod-openapi';
import {
  type DocumentNode,
  type FragmentDefinitionNode,
  type GraphQLNamedType,
  type GraphQLOutputType,
  type GraphQLSchema,
  isAbstractType,
  isEnumType,
  isInterfaceType,
  isListType,
  isNonNullType,
  isObjectType,
  isUnionType,
  Kind,
  type SelectionSetNode,
} from 'graphql';

/** Whatever implements it is a problem, never an answer. */
const ERROR_INTERFACE = 'UserError';

const SCALARS: Readonly<Record<string, () => z.ZodType>> = {
  String: () => z.string(),
  ID: () => z.string(),
  Int: () => z.int(),
  SafeInt: () => z.int(),
  Float: () => z.number(),
  Boolean: () => z.boolean(),
  DateTime: () => z.iso.datetime({ offset: true }),
  JSON: () => z.unknown(),
};

export class AnswerSchemas {
  readonly #schema: GraphQLSchema;
  readonly #nouns = new Map<string, z.ZodType>();

  constructor(schema: GraphQLSchema) {
    this.#schema = schema;
  }

  /** Of the one root field of the document, or of the field `at` in it. */
  of(document: DocumentNode, at?: string): z.ZodType {
    const operation = document.definitions.find((definition) => definition.kind === Kind.OPERATION_DEFINITION);
    if (!operation) throw new Error('a document without an operation');
    const root = this.#schema.getRootType(operation.operation);
    if (!root) throw new Error(`there is no ${operation.operation}`);
    const answer = this.#select(root, operation.selectionSet, fragmentsOf(document));
    const whole = withoutNull(Object.values(answer.shape)[0] as z.ZodType);
    if (at === undefined) return whole;
    const inner = whole instanceof z.ZodObject ? whole.shape[at] : undefined;
    if (!inner) throw new Error(`there is no ${at} in the answer`);
    return inner as z.ZodType;
  }

  /** A selection that is one fragment is a noun of the API, which has the fragment's name. */
  #ofType(type: GraphQLNamedType, selection: SelectionSetNode | undefined, fragments: Fragments): z.ZodType {
    if (isEnumType(type)) return z.enum(type.getValues().map(({ name }) => name));
    if (!selection) return scalar(type.name);
    const [only] = selection.selections;
    if (selection.selections.length > 1 || only?.kind !== Kind.FRAGMENT_SPREAD) {
      return this.#ofSelection(type, selection, fragments);
    }
    const noun = only.name.value;
    const known = this.#nouns.get(noun) ?? this.#noun(type, noun, fragments);
    this.#nouns.set(noun, known);
    return known;
  }

  #noun(type: GraphQLNamedType, noun: string, fragments: Fragments): z.ZodType {
    const { selectionSet } = fragment(fragments, noun);
    return this.#ofSelection(type, selectionSet, fragments).openapi(noun);
  }

  #ofSelection(type: GraphQLNamedType, selection: SelectionSetNode, fragments: Fragments): z.ZodType {
    if (!isAbstractType(type)) return this.#select(type, selection, fragments);
    const answers = this.#schema
      .getPossibleTypes(type)
      .filter(({ name }) => !this.#isError(name))
      .map((possible) => this.#select(possible, selection, fragments));
    const [first] = answers;
    return answers.length === 1 && first ? first : z.union(answers);
  }

  #isError(name: string): boolean {
    const type = this.#schema.getType(name);
    return isObjectType(type) && type.getInterfaces().some((parent) => parent.name === ERROR_INTERFACE);
  }

  #select(type: GraphQLNamedType, selection: SelectionSetNode, fragments: Fragments): z.ZodObject {
    const shape: Record<string, z.ZodType> = {};
    for (const item of selection.selections) {
      if (item.kind === Kind.FIELD) {
        const name = (item.alias ?? item.name).value;
        shape[name] = item.name.value === '__typename' ? z.literal(type.name) : this.#field(type, item, fragments);
        continue;
      }
      const { typeCondition, selectionSet } =
        item.kind === Kind.FRAGMENT_SPREAD ? fragment(fragments, item.name.value) : item;
      if (typeCondition && !this.#is(type, typeCondition.name.value)) continue;
      Object.assign(shape, this.#select(type, selectionSet, fragments).shape);
    }
    return z.strictObject(shape);
  }

  #field(type: GraphQLNamedType, item: FieldNode, fragments: Fragments): z.ZodType {
    const fields = isObjectType(type) || isInterfaceType(type) ? type.getFields() : {};
    const field = fields[item.name.value];
    if (!field) throw new Error(`${type.name} has no ${item.name.value}`);
    const answer = this.#output(field.type, item.selectionSet, fragments);
    return field.description ? answer.describe(field.description) : answer;
  }

  #output(type: GraphQLOutputType, selection: SelectionSetNode | undefined, fragments: Fragments): z.ZodType {
    if (!isNonNullType(type)) {
      const present = this.#present(type, selection, fragments);
      // `nullable()` would take a noun's name along, and say nothing of null.
      return [...this.#nouns.values()].includes(present) ? z.union([present, z.null()]) : present.nullable();
    }
    return this.#present(type.ofType as GraphQLOutputType, selection, fragments);
  }

  #present(type: GraphQLOutputType, selection: SelectionSetNode | undefined, fragments: Fragments): z.ZodType {
    return isListType(type)
      ? z.array(this.#output(type.ofType as GraphQLOutputType, selection, fragments))
      : this.#ofType(type as GraphQLNamedType, selection, fragments);
  }

  #is(type: GraphQLNamedType, condition: string): boolean {
    if (type.name === condition) return true;
    const parent = this.#schema.getType(condition);
    if ((!isInterfaceType(parent) && !isUnionType(parent)) || !isObjectType(type)) return false;
    return this.#schema.isSubType(parent, type);
  }
}

function withoutNull(schema: z.ZodType): z.ZodType {
  if (schema instanceof z.ZodNullable) return schema.unwrap() as z.ZodType;
  if (!(schema instanceof z.ZodUnion)) return schema;
  const [first, second] = schema.options as readonly z.ZodType[];
  return first && second instanceof z.ZodNull ? first : schema;
}

type Fragments = ReadonlyMap<string, FragmentDefinitionNode>;
type FieldNode = Extract<SelectionSetNode['selections'][number], { readonly kind: Kind.FIELD }>;

function fragmentsOf(document: DocumentNode): Fragments {
  const fragments = document.definitions.filter((definition) => definition.kind === Kind.FRAGMENT_DEFINITION);
  return new Map(fragments.map((definition) => [definition.name.value, definition]));
}

function fragment(fragments: Fragments, name: string): FragmentDefinitionNode {
  const found = fragments.get(name);
  if (!found) throw new Error(`there is no fragment ${name}`);
  return found;
}

function scalar(name: string): z.ZodType {
  const make = SCALARS[name];
  if (!make) throw new Error(`REST does not know the scalar ${name}`);
  return make();
}
