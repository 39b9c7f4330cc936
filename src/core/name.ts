/**
 * The name under which something is stored: a segment's address or an object's key, from what they
 * would be in a store that hides nothing. Today the identity; the key of an encrypted store (which
 * makes names that reveal nothing) and namespaces stand here.
 */
export function name<Name extends string>(plain: Name): Name {
  return plain;
}
