import type { Kinds, ValueOf } from './option-kinds.ts';

/**
 * Compares the members of a declaration with its interface: no further requirement when they agree;
 * otherwise a type that nobody can satisfy, whose name shows the difference.
 */
export type Agreement<Interface, Members extends Kinds> = ([
  Differences<Interface, Members>,
] extends [never]
  ? unknown
  : { readonly interfaceAndMembersDifferIn: Differences<Interface, Members>; readonly is: never }) &
  Named<'required', RequiredKey<Interface>>;

/** Requires a declaration to list an option when there are such keys. */
type Named<Option extends string, Keys> = [Keys] extends [never]
  ? unknown
  : Readonly<Record<Option, unknown>>;

/** Names of required options. */
export type RequiredKey<T> = {
  [Key in keyof T]-?: object extends Pick<T, Key> ? never : Key;
}[keyof T];

/** Options after reading: omitted ones have their defaults, or are absent. */
export type OptionsRead<Interface, Defaults> = {
  readonly [Key in keyof Interface as Key extends keyof Defaults ? never : Key]: Defined<
    Interface[Key]
  >;
} & {
  readonly [Key in keyof Interface as Key extends keyof Defaults ? Key : never]-?: Defined<
    Interface[Key]
  >;
};

type Defined<T> = Exclude<T, undefined>;

/** Names that only one side has, or whose types differ. */
type Differences<Interface, Members extends Kinds> = {
  [Key in keyof Interface | keyof Members]-?: Key extends keyof Interface & keyof Members
    ? Same<Plain<Defined<Interface[Key]>>, Plain<ValueOf<Members[Key]>>> extends true
      ? never
      : Key
    : Key;
}[keyof Interface | keyof Members];

export type Same<A, B> =
  (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;

/** Types compared as a whole, not member by member. */
type Whole =
  | string
  | number
  | boolean
  | null
  | ((...given: never[]) => unknown)
  | AbortSignal
  | Date
  | Iterable<unknown>
  | AsyncIterable<unknown>;

/** Removes `readonly` and `| undefined`, which kinds do not express. */
export type Plain<T> = T extends readonly (infer Item)[]
  ? Plain<Item>[]
  : T extends Whole
    ? T
    : { -readonly [Key in keyof T]: Plain<Defined<T[Key]>> };
