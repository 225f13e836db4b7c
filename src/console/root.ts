/** The document or the shadow tree that an element is in: each has a focused element of its own. */
export const rootOf = (element: Element): Document | ShadowRoot => element.getRootNode() as Document | ShadowRoot;
