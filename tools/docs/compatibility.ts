import type { Catalogue } from './catalogue.ts'
import { code, fileLink, page, table } from './markdown.ts'
import { standings } from './status.ts'
import type { Judge, Standing } from './status.ts'

interface Row {
  readonly name: string
  readonly standing: Standing
}

const meaning = `
Everything that ejabberd 26.07 has, and how it stands here.

- **works**: a test of this repository shows it; the link leads there. For an option the test changes it and sees the
  behaviour change; for a command its output is compared with what Debian's \`ejabberdctl\` printed, or, where ejabberd
  23.01 does not have the command yet, with what the reference says.
- **built**: it is there and used, but no test shows it yet.
- **accepted**: it may stand in a configuration and has no effect, for the reason given.
- **not yet**: a configuration that uses it gets a warning that names it, and the server runs without it.

What differs on purpose is in [differences.md](differences.md).
`

/** `docs/compatibility.md`: each option, module, listener, handler and command of ejabberd. */
export function compatibilityPage(catalogue: Catalogue, judge: Judge): string {
  const options = [...catalogue.options].map(([area, names]) => ({
    title: area,
    rows: names.map((name) => ({ name, standing: judge.option(name) })),
  }))
  const listeners = [...catalogue.listeners].map(([name, names]) => ({
    name,
    standing: name === 'common' ? undefined : judge.listener(name),
    rows: names.map((own) => ({ name: own, standing: judge.listenerOption(name, own) })),
  }))
  const handlers = catalogue.handlers.map((name) => ({ name, standing: judge.handler(name) }))
  const modules = [...catalogue.modules].map(([area, own]) => ({
    area,
    modules: [...own].map(([name, names]) => ({
      name,
      standing: judge.module(name),
      rows: names.map((option) => ({ name: option, standing: judge.moduleOption(name, option) })),
    })),
  }))
  const commands = groupCommands(catalogue, judge)

  const summary = table(
    ['', ...standings, 'all'],
    [
      counted(
        'Top-level options',
        options.flatMap(({ rows }) => rows),
      ),
      counted(
        'Listeners',
        listeners.flatMap(({ name, standing }) =>
          standing === undefined ? [] : { name, standing },
        ),
      ),
      counted(
        'Options of listeners',
        listeners.flatMap(({ rows }) => rows),
      ),
      counted('Request handlers', handlers),
      counted(
        'Modules',
        modules.flatMap((area) => area.modules),
      ),
      counted(
        'Options of modules',
        modules.flatMap((area) => area.modules.flatMap(({ rows }) => rows)),
      ),
      counted(
        'Commands',
        commands.flatMap(({ rows }) => rows),
      ),
    ],
  )
  return page(
    'Compatibility with ejabberd',
    meaning.trim(),
    summary,
    '## Top-level options',
    ...options.flatMap(({ title, rows }) => [`### ${title}`, rowTable('option', rows)]),
    '## Listeners',
    ...listeners.flatMap(({ name, standing, rows }) => [
      name === 'common' ? '### Options of all listeners' : `### ${name}: ${textOf(standing)}`,
      rows.length === 0 ? 'No options of its own.' : rowTable('option', rows),
    ]),
    '## Request handlers',
    rowTable('handler', handlers),
    '## Modules',
    ...modules.flatMap(({ area, modules: own }) => [
      `### ${area}`,
      ...own.flatMap(({ name, standing, rows }) => [
        `#### ${name}: ${textOf(standing)}`,
        optionsOf(standing, rows),
      ]),
    ]),
    '## Commands',
    ...commands.flatMap(({ group, rows }) => [`### ${group}`, rowTable('command', rows)]),
  )
}

function groupCommands(
  catalogue: Catalogue,
  judge: Judge,
): readonly { group: string; rows: readonly Row[] }[] {
  const groups = new Map<string, Map<string, Row>>()
  for (const { group, name } of catalogue.commands) {
    groups
      .getOrInsertComputed(group, () => new Map())
      .set(name, { name, standing: judge.command(name) })
  }
  return [...groups].map(([group, rows]) => ({ group, rows: [...rows.values()] }))
}

/** Of a module that is missing, a list of its options is enough. */
function optionsOf(standing: Standing, rows: readonly Row[]): string {
  if (rows.length === 0) return 'No options.'
  if (standing.kind === 'not yet') {
    return `Options: ${rows.map(({ name }) => code(name)).join(', ')}.`
  }
  return rowTable('option', rows)
}

function rowTable(what: string, rows: readonly Row[]): string {
  return table(
    [what, 'standing'],
    rows.map(({ name, standing }) => [code(name), textOf(standing)]),
  )
}

function textOf(standing: Standing | undefined): string {
  if (standing === undefined) return ''
  switch (standing.kind) {
    case 'works':
      return fileLink(standing.file, 'works')
    case 'accepted':
      return `accepted: ${standing.reason}`
    case 'built':
    case 'not yet':
      return standing.kind
  }
}

function counted(title: string, rows: readonly Row[]): readonly string[] {
  const counts = standings.map(
    (kind) => rows.filter(({ standing }) => standing.kind === kind).length,
  )
  return [title, ...counts.map(String), String(rows.length)]
}
