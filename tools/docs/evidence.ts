import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/**
 * What tests show. A comment directly above a test says which option, listener option, module, request handler or command
 * it shows to work, or which statement of a specification it shows to be kept:
 *
 *   // shows: option loglevel
 *   // shows: option mod_mqtt.max_queue
 *   // shows: listener ejabberd_c2s.starttls_required
 *   // shows: listener *.use_proxy_protocol         (an option that all listeners share)
 *   // shows: module mod_ping
 *   // shows: handler mod_mqtt
 *   // shows: command register
 *   // shows: MQTT5 3.1.2-4, 3.1.2-5             (numbers of the specification's statements)
 *   test('…', …)
 */
export interface Evidence {
  readonly kind: EvidenceKind
  readonly name: string
  /** Path from the root of the repository. */
  readonly file: string
  readonly line: number
  /** The test's name as it stands in the source; empty when it is not a literal. */
  readonly test: string
}

const kinds = [
  'option',
  'listener',
  'module',
  'handler',
  'command',
  'MQTT31',
  'MQTT3',
  'MQTT5',
] as const
export type EvidenceKind = (typeof kinds)[number]

/** Reads the evidence in all tests of a checkout. Throws when a line of evidence is unreadable or stands above no test. */
export function readEvidence(root: string): readonly Evidence[] {
  const files = globSync(['src/**/*.test.ts', 'test/**/*.test.ts'], { cwd: root }).sort()
  return files.flatMap((file) => evidenceIn(file, readFileSync(join(root, file), 'utf8')))
}

export function evidenceIn(file: string, text: string): readonly Evidence[] {
  const lines = text.split('\n')
  return lines.flatMap((own, index) => {
    const shown = /^\s*\/\/ shows: (.*)$/.exec(own)?.[1]
    if (shown === undefined) return []
    const where = `${file}:${index + 1}`
    if (!standsAboveTest(lines, index)) {
      throw new Error(`${where}: "${own.trim()}" does not stand directly above a test`)
    }
    const [, kind, names] = /^(\w+) (\S+(?:, \S+)*)$/.exec(shown.trim()) ?? []
    const known = kinds.find((candidate) => candidate === kind)
    if (known === undefined || names === undefined) {
      throw new Error(`${where}: "${own.trim()}" is none of ${kinds.join(', ')} with a name`)
    }
    const test = testName(lines, index)
    return names.split(', ').map((name) => ({ kind: known, name, file, line: index + 1, test }))
  })
}

function testName(lines: readonly string[], index: number): string {
  const call = lines
    .slice(index + 1)
    .filter((line) => !/^\s*\/\//.test(line))
    .slice(0, 2)
  return /\(\s*(['"`])(.*?)\1,/.exec(call.join(' '))?.[2] ?? ''
}

/** Whether nothing but comments lies between a line and a call of `test`, `it` or a function that wraps one. */
function standsAboveTest(lines: readonly string[], index: number): boolean {
  const next = lines.slice(index + 1).find((line) => !/^\s*\/\//.test(line)) ?? ''
  return /^\s*(?:await )?(?:test|it|t\.test)\w*(?:\.only)?\(/.test(next)
}

/** Where something is shown to work; the first test that does. */
export class EvidenceIndex {
  readonly #files = new Map<string, string>()

  constructor(evidence: readonly Evidence[]) {
    for (const { kind, name, file } of evidence) {
      const key = `${kind} ${name}`
      if (!this.#files.has(key)) this.#files.set(key, file)
    }
  }

  find(kind: EvidenceKind, name: string): string | undefined {
    return this.#files.get(`${kind} ${name}`)
  }
}
