import { formatProblem } from '../options/problem.ts'
import type { Problem } from '../options/problem.ts'

/** All problems for a terminal, one a line, with a count at the end; empty when there are none. */
export function formatProblems(problems: readonly Problem[]): string {
  if (problems.length === 0) return ''
  const count = (severity: Problem['severity'], word: string): readonly string[] => {
    const found = problems.filter((problem) => problem.severity === severity).length
    return found === 0 ? [] : [`${found} ${word}${found === 1 ? '' : 's'}`]
  }
  const summary = [
    ...count('error', 'error'),
    ...count('warning', 'warning'),
    ...count('notice', 'notice'),
  ]
  return `${problems.map(formatProblem).join('\n')}\n${summary.join(', ')}\n`
}

/** What a check of the configuration exits with: 1 if it would be refused. */
export function exitCodeFor(problems: readonly Problem[]): 0 | 1 {
  return problems.some(({ severity }) => severity === 'error') ? 1 : 0
}
