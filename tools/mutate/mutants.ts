import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Evidence } from '../docs/evidence.ts'
import type { Specification } from '../docs/mqtt-conformance.ts'
import { splitPlace } from '../docs/mqtt-conformance.ts'
import type { Mutation } from './mutation.ts'
import { Source } from './source.ts'

/** A mutation of a file, and what it is expected to break. */
export interface Mutant {
  readonly file: string
  readonly line: number
  readonly mutation: Mutation
  /** `MQTT5 3.1.2-4`: the statements that name the place. */
  readonly statements: readonly string[]
  /** Files of tests that show these statements. */
  readonly tests: readonly string[]
}

/** All mutants of the places where statements are enforced, in a fixed order. */
export async function findMutants(
  root: string,
  specifications: readonly Specification[],
  evidence: readonly Evidence[],
): Promise<readonly Mutant[]> {
  const sources = new Map<string, Source>()
  const found = new Map<string, { file: string; mutation: Mutation; statements: Set<string> }>()
  for (const { kind, statements } of specifications) {
    for (const { id, where = [] } of statements) {
      for (const place of where) {
        const { file, text } = splitPlace(place)
        const source =
          sources.get(file) ?? (await Source.parse(readFileSync(join(root, file), 'utf8')))
        sources.set(file, source)
        for (const mutation of enforcing(source, text, kind, id)) {
          const key = `${file} ${mutation.start} ${mutation.end} ${mutation.replacement}`
          const known = found.get(key) ?? { file, mutation, statements: new Set() }
          known.statements.add(`${kind} ${id}`)
          found.set(key, known)
        }
      }
    }
  }
  return [...found.values()].map(({ file, mutation, statements }) => ({
    file,
    line: sources.get(file)?.lineOf(mutation.start) ?? 0,
    mutation,
    statements: [...statements],
    tests: testsOf(evidence, statements),
  }))
}

/** Where the number is cited at a place, else where any number is, else all of the place. */
function enforcing(source: Source, place: string, kind: string, id: string): readonly Mutation[] {
  const ranges = source.rangesOf(place)
  for (const isCitation of [
    (text: string) => cites(text, kind, id),
    (text: string) => /MQTT[35] \d+\.\d+\.\d+-\d+/.test(text),
  ]) {
    const cited = ranges.flatMap((range) => source.citedMutationsIn(range, isCitation))
    if (cited.length > 0) return cited
  }
  return ranges.flatMap((range) => source.mutationsIn(range))
}

const citations = /\b(MQTT\d+) ((?:\d+(?:\.\d+)+(?:-\d+)?(?:, | and | to )?)+)/g

/** `MQTT5 3.1.2-1, 3.1.2-2; MQTT3 3.1.2-2` cites each of these. */
export function cites(text: string, kind: string, id: string): boolean {
  return [...text.matchAll(citations)].some(
    ([, spec, ids = '']) => spec === kind && ids.split(/, | and | to /).includes(id),
  )
}

function testsOf(
  evidence: readonly Evidence[],
  statements: ReadonlySet<string>,
): readonly string[] {
  const files = evidence
    .filter(({ kind, name }) => statements.has(`${kind} ${name}`))
    .map(({ file }) => file)
  return [...new Set(files)].sort()
}
