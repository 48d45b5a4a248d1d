import type { Viewer } from './viewer.ts';

/**
 * All that an execution that is shared may know of its viewer: what he may do. To look at anything else is a defect, and throws:
 * the others would be told what is his.
 */
export function rightsOf({ scopes, projectIds }: Pick<Viewer, 'scopes' | 'projectIds'>): Viewer {
  return new Proxy(Object.freeze({ scopes, projectIds }) as Viewer, {
    get(rights, name) {
      if (name === 'scopes' || name === 'projectIds') return rights[name];
      throw new Error(`A shared execution looks at its viewer's ${String(name)}: mark the field with perViewer.`);
    },
    ownKeys() {
      throw new Error('A shared execution looks at all of its viewer: mark the field with perViewer.');
    },
  });
}
