import { type DocumentNode, type GraphQLSchema, TypeInfo, visit, visitWithTypeInfo } from 'graphql';

export interface MarkedFields {
  readonly schema: GraphQLSchema;
  readonly document: DocumentNode;
  /** An extension of fields: `perViewer`, of what depends on who asks; `perRequest`, of what depends on more than that. */
  readonly mark: 'perViewer' | 'perRequest';
}

/** Is a field with this mark anywhere in the document? */
export function selectsMarked({ schema, document, mark }: MarkedFields): boolean {
  const types = new TypeInfo(schema);
  let found = false;
  const Field = () => {
    found ||= types.getFieldDef()?.extensions[mark] === true;
  };
  visit(document, visitWithTypeInfo(types, { Field }));
  return found;
}
