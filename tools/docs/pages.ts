import type { Command } from '../../src/core/command.ts'
import { code, fileLink, page, table } from './markdown.ts'
import { argsText, resultText } from './own.ts'
import type { Own, OwnModule } from './own.ts'
import type { HookEntry } from './source.ts'
import { specTitle } from './spec-titles.ts'

type OptionDescription = OwnModule['options'][number]

/** `docs/options.md`: every top-level option. */
export function optionsPage({ areas }: Own): string {
  return page(
    'Top-level options',
    'What may stand at the top of a configuration. Options marked **per host** may also stand in `host_config` and `append_host_config`. Durations without a unit are seconds. How each option stands against ejabberd: [compatibility.md](compatibility.md).',
    ...areas.flatMap(({ area, global, host }) => [
      `## ${area}`,
      table(
        ['option', 'per host', 'type', 'default', 'what it does'],
        [
          ...global.map((option) => optionRow(option, ['no'])),
          ...host.map((option) => optionRow(option, ['yes'])),
        ].sort(([a = ''], [b = '']) => (a < b ? -1 : 1)),
      ),
    ]),
  )
}

/** `docs/modules.md`: every module that is built in. */
export function modulesPage({ modules }: Own): string {
  return page(
    'Modules',
    'What may stand under `modules:`. Nothing runs that is not named there. To write one, see [writing-a-module.md](writing-a-module.md).',
    table(
      ['module', 'what it does'],
      modules.map(({ name, comment }) => [`[${code(name)}](#${name})`, firstSentence(comment)]),
    ),
    ...modules.flatMap(({ name, comment, file, specs, requires, options }) => [
      `## ${name}`,
      comment,
      [
        ...(specs.length === 0 ? [] : [`- Specifications: ${specs.join(', ')}`]),
        ...(requires.length === 0 ? [] : [`- Needs: ${requires.map(code).join(', ')}`]),
        ...(file === undefined ? [] : [`- Code: ${fileLink(file)}`]),
      ].join('\n'),
      optionTable(options),
    ]),
  )
}

/** `docs/listeners.md`: listeners and request handlers. */
export function listenersPage({ listeners, commonListenerOptions, handlers }: Own): string {
  return page(
    'Listeners',
    'Each entry under `listen:` opens one port; `module` says what is spoken there.',
    '## Options of all listeners',
    optionTable(commonListenerOptions),
    ...listeners.flatMap(({ name, comment, transports, options }) => [
      `## ${name}`,
      `${comment}${comment === '' ? '' : '\n\n'}Transport: ${transports.join(', ')}.`,
      optionTable(options),
    ]),
    '## Request handlers',
    `An \`ejabberd_http\` listener hands requests to these, by the longest-standing rule of ejabberd: the first prefix under \`request_handlers\` that matches the path. Known: ${handlers.map(code).join(', ')}.`,
  )
}

/** `docs/commands.md`: every command, by tag. */
export function commandsPage({ commands }: Own): string {
  const newest = [...new Map(commands.map((command) => [command.name, command])).values()]
  return page(
    'Commands',
    'What `linnet COMMAND` can tell a running server, under the names that `ejabberdctl` has; the same commands are offered by the other faces of the server. Exit codes: 0 done, 1 failed, 2 wrong arguments, 3 no server is running. Each argument is one word of the shell; lists are separated with commas.',
    table(
      ['command', 'arguments', 'result', 'what it does'],
      newest.map((command) => [
        code(command.name),
        code(argsText(command)),
        code(resultText(command)),
        command.summary + olderVersions(command, commands),
      ]),
    ),
  )
}

function olderVersions(command: Command, all: readonly Command[]): string {
  const older = all.filter(
    ({ name, version }) => name === command.name && version < command.version,
  )
  if (older.length === 0) return ''
  const texts = older.map(
    (own) => `version ${own.version}: (${argsText(own)}) gives ${resultText(own)}`,
  )
  return ` (API version ${command.version}; ${texts.join('; ')})`
}

/** `docs/hooks.md`: every hook that a module can handle. */
export function hooksPage(hooks: readonly HookEntry[]): string {
  return page(
    'Hooks',
    'Where a module can step in: `ctx.on(hook, handler, priority)`. An **event** tells something, and what handlers return is ignored. A **filter** hands a value from handler to handler: each returns a new value, `undefined` for no change, or `drop`. A **decision** asks: the first answer that is not `undefined` counts. The types are those of the handler: for a filter the value comes first, for a decision the answer.',
    ...hooks.flatMap(({ constant, name, kind, types, comment, file }) => [
      `## ${constant}`,
      `${kind} \`${name}\` in ${fileLink(file)}\n\n\`\`\`ts\n${types}\n\`\`\``,
      comment,
    ]),
  )
}

/** `docs/specs.md`: what is implemented, as modules declare and as the code cites. */
export function specsPage(
  { modules }: Own,
  citations: ReadonlyMap<string, readonly string[]>,
): string {
  const declared = modules.flatMap(({ name, specs }) => specs.map((spec) => [spec, name] as const))
  const names = [...citations.keys()].sort(bySpec)
  return page(
    'Specifications',
    '## Declared by modules',
    table(
      ['specification', 'title', 'module'],
      declared
        .sort(([a], [b]) => bySpec(a, b))
        .map(([spec, name]) => [spec, specTitle(spec), code(name)]),
    ),
    '## Cited in the code',
    'The code names the section of a specification where it holds to it, or knowingly departs from it. `git grep "RFC 6120 §"` finds every place.',
    table(
      ['specification', 'title', 'cited in'],
      names.map((spec) => [
        spec,
        specTitle(spec),
        (citations.get(spec) ?? []).map(code).join(', '),
      ]),
    ),
  )
}

/** `RFC 959` before `RFC 6120`, MQTT and RFCs before XEPs as the alphabet has it. */
function bySpec(a: string, b: string): number {
  return a.localeCompare(b, 'en', { numeric: true })
}

function optionTable(options: readonly OptionDescription[]): string {
  if (options.length === 0) return 'No options.'
  return table(
    ['option', 'type', 'default', 'what it does'],
    options.map((option) => optionRow(option, [])),
  )
}

function optionRow(option: OptionDescription, extra: readonly string[]): readonly string[] {
  return [
    code(option.name),
    ...extra,
    option.type,
    option.default === '' ? 'empty' : code(option.default),
    `${option.help}${statusNote(option)}`,
  ]
}

function statusNote({ status, reason }: OptionDescription): string {
  if (status === 'works') return ''
  return status === 'not-yet' ? ' **Not yet.**' : ` **No effect**: ${reason ?? ''}.`
}

function firstSentence(text: string): string {
  return /^[^]*?[.:](?=\s|$)/.exec(text)?.[0] ?? text
}
