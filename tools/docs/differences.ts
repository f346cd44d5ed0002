import { differences, rewritings } from '../../test/support/compat-differences.ts'
import { code, table } from './markdown.ts'

const start = '<!-- commands: written by `npm run docs` from test/support/compat-differences.ts -->'
const end = '<!-- end of commands -->'

/** Puts the table of commands that answer otherwise between the marks of `docs/differences.md`. */
export function commandDifferences(page: string): string {
  const from = page.indexOf(start)
  const to = page.indexOf(end)
  if (from < 0 || to < from) throw new Error(`docs/differences.md lacks "${start}" and "${end}"`)
  const general = rewritings.map(({ reason }) => `- ${reason}`).join('\n')
  const byReason = new Map<string, string[]>()
  for (const { command, reason } of differences) {
    const commands = byReason.getOrInsertComputed(reason, () => [])
    if (!commands.includes(command)) commands.push(command)
  }
  const rows = [...byReason].map(([reason, commands]) => [commands.map(code).join(', '), reason])
  const own = `${start}\n\n${general}\n\n${table(['command', 'what differs'], rows)}\n`
  return page.slice(0, from) + own + page.slice(to)
}
