import type { BinaryString } from './binary.ts'
import { Element } from './element.ts'
import type { FlatAttributes } from './element.ts'
import type { Prefixes } from './namespace-scope.ts'
import type { ElementScanner } from './scanner.ts'
import { CheckedSource } from './tree.ts'

/** What an element gets from around it. */
export interface Surroundings {
  readonly prefixes: Prefixes | undefined
  readonly lang: string | undefined
  /** An element of the namespace `wireNs`, and its heirs, are read as belonging to `ns`. */
  readonly wireNs: string
  readonly ns: string
}

/** The element, or only its start tag, that `scanner` found in `bytes`, which are copied once. */
export function readElement(bytes: Buffer, scanner: ElementScanner, around: Surroundings): Element {
  const { start, at, scope } = scanner
  const translated = around.wireNs !== around.ns && scope.rootNs === around.wireNs
  const ns = translated ? around.ns : scope.rootNs
  const prefixes =
    scope.rootPrefixes === undefined
      ? around.prefixes
      : new Map([...(around.prefixes ?? []), ...scope.rootPrefixes])
  const source = new CheckedSource(bytes.toString('latin1', start, at), scanner, ns, prefixes)
  const attributes = readAttributes(source, scanner)
  const name = source.name(scanner.nameStart - start, scanner.nameEnd - start)
  return new Element(
    scope.rootPrefixed ? name.slice(name.indexOf(':') + 1) : name,
    ns,
    attributes,
    {
      source,
      start: 0,
      bodyStart: scanner.bodyStart - start,
      bodyEnd: scanner.bodyEnd - start,
      end: at - start,
      bodyNs: translated && scope.bodyNs === around.wireNs ? ns : scope.bodyNs,
      declaresNs: scope.rootDeclaresNs,
      headBound: scope.rootPrefixed || (translated && scope.rootDeclaresNs),
      needs: scope.needs,
      lang: around.lang,
      attributes,
      tree: undefined,
    },
  )
}

function readAttributes(source: CheckedSource, scanner: ElementScanner): FlatAttributes {
  const { start, attributeStart, attributeEnd, valueStart, valueEnd } = scanner
  const bytes = source.bytes
  const flat: string[] = []
  for (let index = 0; index < scanner.rootAttributes; index++) {
    const nameFrom = (attributeStart[index] ?? 0) - start
    const nameTo = (attributeEnd[index] ?? 0) - start
    const name =
      commonName(bytes, nameFrom, nameTo - nameFrom) ??
      expandName(source.name(nameFrom, nameTo), source.prefixes)
    if (name === undefined) continue
    const from = (valueStart[index] ?? 0) - start
    const to = (valueEnd[index] ?? 0) - start
    flat.push(name, source.value(from, to))
  }
  return flat
}

/** The attributes that most stanzas have, without making and looking up a string. */
function commonName(bytes: BinaryString, from: number, length: number): string | undefined {
  const first = bytes.charCodeAt(from)
  if (length === 2) {
    const second = bytes.charCodeAt(from + 1)
    if (first === 0x74 && second === 0x6f) return 'to'
    if (first === 0x69 && second === 0x64) return 'id'
  } else if (length === 4) {
    if (first === 0x66 && bytes.startsWith('from', from)) return 'from'
    if (first === 0x74 && bytes.startsWith('type', from)) return 'type'
  }
  return undefined
}

/** An attribute's name as `Element` has it; undefined for a namespace declaration. */
function expandName(qualified: string, prefixes: Prefixes | undefined): string | undefined {
  const colon = qualified.indexOf(':')
  if (colon < 0) return qualified === 'xmlns' ? undefined : qualified
  const prefix = qualified.slice(0, colon)
  if (prefix === 'xmlns') return undefined
  if (prefix === 'xml') return qualified
  const ns = prefixes?.get(prefix) ?? ''
  return `{${ns}}${qualified.slice(colon + 1)}`
}
