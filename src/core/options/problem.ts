import type { Place } from './node.ts'

/**
 * `error`: the configuration is refused. `warning`: something written has no effect yet, or not the
 * one its author may think. `notice`: it has no effect here on purpose.
 */
export type Severity = 'error' | 'warning' | 'notice'

/** One thing wrong in a configuration, with its place (line and column from 1). */
export interface Problem {
  readonly severity: Severity
  readonly file: string
  readonly line: number
  readonly column: number
  /** The option's path, `modules.mod_mqtt`; empty at the top. */
  readonly path: string
  readonly message: string
}

export function problemAt(
  place: Place,
  path: string,
  message: string,
  severity: Severity,
): Problem {
  const { line, column } = place.file.position(place.offset)
  return { severity, file: place.file.name, line, column, path, message }
}

/** `linnet.yml:12:5: modules.mod_mqtt: unknown option "acess", did you mean "access"?` */
export function formatProblem(problem: Problem): string {
  const place = `${problem.file}:${problem.line}:${problem.column}: `
  const severity = problem.severity === 'error' ? '' : `${problem.severity}: `
  const path = problem.path === '' ? '' : `${problem.path}: `
  return `${place}${severity}${path}${problem.message}`
}
