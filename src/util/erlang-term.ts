/**
 * Erlang terms, as far as an ejabberd database holds them. A list of small integers and a string
 * are the same thing in Erlang; here the one that was written is kept, and the readers below take
 * either.
 */
export type ErlangTerm =
  | { readonly kind: 'atom'; readonly name: string }
  | { readonly kind: 'integer'; readonly value: bigint }
  | { readonly kind: 'float'; readonly value: number }
  | { readonly kind: 'binary'; readonly bytes: Uint8Array }
  | { readonly kind: 'string'; readonly text: string }
  | { readonly kind: 'tuple'; readonly items: readonly ErlangTerm[] }
  | { readonly kind: 'list'; readonly items: readonly ErlangTerm[]; readonly tail?: ErlangTerm }
  | { readonly kind: 'map'; readonly entries: readonly (readonly [ErlangTerm, ErlangTerm])[] }

export function atom(name: string): ErlangTerm {
  return { kind: 'atom', name }
}

export function boolean(value: boolean): ErlangTerm {
  return atom(String(value))
}

export function integer(value: number | bigint): ErlangTerm {
  return { kind: 'integer', value: BigInt(value) }
}

export function float(value: number): ErlangTerm {
  return { kind: 'float', value }
}

/** Text becomes UTF-8. */
export function binary(value: string | Uint8Array): ErlangTerm {
  return { kind: 'binary', bytes: typeof value === 'string' ? Buffer.from(value) : value }
}

/** A list of characters. */
export function string(text: string): ErlangTerm {
  return { kind: 'string', text }
}

export function tuple(...items: readonly ErlangTerm[]): ErlangTerm {
  return { kind: 'tuple', items }
}

export function list(items: readonly ErlangTerm[]): ErlangTerm {
  return { kind: 'list', items }
}

export function map(entries: readonly (readonly [ErlangTerm, ErlangTerm])[]): ErlangTerm {
  return { kind: 'map', entries }
}

export function isAtom(term: ErlangTerm | undefined, name: string): boolean {
  return term?.kind === 'atom' && term.name === name
}

/** The name of an atom, else undefined. */
export function readAtom(term: ErlangTerm | undefined): string | undefined {
  return term?.kind === 'atom' ? term.name : undefined
}

/** `true` and `false`, else undefined. */
export function readBoolean(term: ErlangTerm | undefined): boolean | undefined {
  if (isAtom(term, 'true')) return true
  return isAtom(term, 'false') ? false : undefined
}

/** An integer that a number holds exactly, else undefined. */
export function readInteger(term: ErlangTerm | undefined): number | undefined {
  if (term?.kind !== 'integer') return undefined
  const value = Number(term.value)
  return Number.isSafeInteger(value) ? value : undefined
}

/** The text of a binary (as UTF-8) or of a list of characters, else undefined. */
export function readText(term: ErlangTerm | undefined): string | undefined {
  if (term?.kind === 'binary') return Buffer.from(term.bytes).toString()
  if (term?.kind === 'string') return term.text
  if (term?.kind !== 'list' || term.tail !== undefined) return undefined
  let text = ''
  for (const item of term.items) {
    const codePoint = readInteger(item)
    if (codePoint === undefined || codePoint < 0 || codePoint > 0x10ffff) return undefined
    text += String.fromCodePoint(codePoint)
  }
  return text
}

/** The items of a proper list or of a string, else undefined. */
export function readList(term: ErlangTerm | undefined): readonly ErlangTerm[] | undefined {
  if (term?.kind === 'string') {
    return Array.from(term.text, (character) => integer(character.codePointAt(0) ?? 0))
  }
  return term?.kind === 'list' && term.tail === undefined ? term.items : undefined
}

/** The items of a tuple of that size, else undefined. */
export function readTuple(
  term: ErlangTerm | undefined,
  size: number,
): readonly ErlangTerm[] | undefined {
  return term?.kind === 'tuple' && term.items.length === size ? term.items : undefined
}

/**
 * The value of the first `{key, Value}` in a property list, whose keys are atoms; a bare `key`
 * stands for `{key, true}`.
 */
export function readProperty(term: ErlangTerm | undefined, key: string): ErlangTerm | undefined {
  for (const item of readList(term) ?? []) {
    if (isAtom(item, key)) return atom('true')
    const [name, value] = readTuple(item, 2) ?? []
    if (isAtom(name, key)) return value
  }
  return undefined
}
