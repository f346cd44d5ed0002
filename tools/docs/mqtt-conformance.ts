import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Evidence } from './evidence.ts'
import { code, fileLink, page, table } from './markdown.ts'
import type { Duty, Statement } from './mqtt-statements/types.ts'

/** One specification and its numbered statements. */
export interface Specification {
  readonly kind: 'MQTT31' | 'MQTT3' | 'MQTT5'
  readonly title: string
  readonly statements: readonly Statement[]
}

const duties: Readonly<Record<Duty, string>> = {
  server: 'server',
  both: 'both sides',
  choice: 'other servers',
  client: 'client',
  network: 'network',
}

/**
 * What is wrong with the tables: a duty of ours without a place or a test, a place that is not there, a number that stands
 * twice. Empty when all is well.
 */
export function conformanceFaults(
  root: string,
  specifications: readonly Specification[],
  evidence: readonly Evidence[],
): readonly string[] {
  return specifications.flatMap(({ kind, statements }) => {
    const shown = new Set(evidence.filter((own) => own.kind === kind).map(({ name }) => name))
    return statements.flatMap((statement, index) => {
      const faults = faultsOf(root, statement, shown.has(statement.id))
      const isFirst = statements.findIndex(({ id }) => id === statement.id) === index
      if (!isFirst) faults.push('stands twice')
      return faults.map((fault) => `${kind} ${statement.id}: ${fault}`)
    })
  })
}

function faultsOf(root: string, statement: Statement, isShown: boolean): string[] {
  const { duty, where = [], reason, rule } = statement
  const isOurs = duty === 'server' || duty === 'both'
  const faults: string[] = []
  if (rule === '') faults.push('says nothing')
  if (isOurs && where.length === 0) faults.push('is enforced nowhere')
  if (!isOurs && where.length === 0 && reason === undefined) faults.push('has no reason')
  if (!isShown && (isOurs || duty === 'choice' || where.length > 0)) faults.push('no test shows it')
  for (const place of where) {
    if (!isThere(root, place)) faults.push(`there is no ${place}`)
  }
  return faults
}

/** A place is `src/file.ts#name`: the file, and what is declared or otherwise stands in it. */
export function splitPlace(place: string): { readonly file: string; readonly text: string } {
  const at = place.indexOf('#')
  return at < 0
    ? { file: place, text: '' }
    : { file: place.slice(0, at), text: place.slice(at + 1) }
}

function isThere(root: string, place: string): boolean {
  const { file, text } = splitPlace(place)
  const path = join(root, file)
  if (text === '' || !existsSync(path)) return false
  const source = readFileSync(path, 'utf8')
  return /^\w+$/.test(text) ? new RegExp(`\\b${text}\\b`).test(source) : source.includes(text)
}

/** `docs/mqtt-conformance.md` */
export function conformancePage(
  specifications: readonly Specification[],
  evidence: readonly Evidence[],
): string {
  return page(
    'Conformance of the MQTT broker',
    'Every numbered statement of the MQTT specifications (their appendix B): whom it binds, what it asks for in short, ' +
      'where it is enforced and which tests show it. A check fails when a duty of the broker has no test, when a ' +
      'test names a number that does not exist, and when a place is gone; `npm run mutate` takes enforcing lines out at ' +
      'random, and a test has to fail each time. Where a statement binds only the other side and has a place all the ' +
      'same, the broker checks its peer.',
    ...specifications.flatMap((specification) => section(specification, evidence)),
  )
}

function section(
  { kind, title, statements }: Specification,
  evidence: readonly Evidence[],
): readonly string[] {
  const own = evidence.filter((candidate) => candidate.kind === kind)
  const rows = statements.map((statement) => [
    statement.id,
    duties[statement.duty],
    statement.rule,
    places(statement),
    tests(own.filter(({ name }) => name === statement.id)),
  ])
  return [
    `## ${title}`,
    `${statements.length} statements, cited as ${code(`${kind} ${statements[0]?.id ?? ''}`)}.`,
    table(['Number', 'Binds', 'Rule', 'Where', 'Shown by'], rows),
  ]
}

function places({ where = [], reason }: Statement): string {
  const links = where.map((place) => {
    const { file, text } = splitPlace(place)
    return `${fileLink(file, file.replace(/^src\//, ''))} ${code(text)}`
  })
  return [...links, ...(reason === undefined ? [] : [reason])].join('<br>')
}

function tests(shown: readonly Evidence[]): string {
  return shown
    .map(({ file, test }) => `${test} (${fileLink(file, file.replace(/^.*\//, ''))})`)
    .join('<br>')
}
