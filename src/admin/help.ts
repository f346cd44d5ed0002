import type { Command, CommandRegistry, CommandType } from '../core/command.ts'
import { compileGlob } from '../util/glob.ts'

const aboutHelp = `  help [tags | commands | TAG | COMMAND | COM?*]
             Without a word this text; tags and what they hold; all commands by
             tag; the commands of a tag; one command; commands that match a glob

In arguments that are lists, elements are separated with commas; in tuples, with
colons. In results, elements of lists stand on lines or are separated with commas,
those of tuples with tabs.
`

/** What `linnet help …` prints; the layout is that of `ejabberdctl help`. */
export function commandHelp(commands: CommandRegistry, words: readonly string[]): string {
  const [word] = words
  const all = commands.list()
  if (word === undefined) return aboutHelp
  if (word === 'tags' || word === '--tags') return tagList(all)
  if (word === 'commands') return commandsByTag(all)
  const tagged = all.filter(({ tags }) => tags.includes(word))
  const ofTag =
    tagged.length === 0 ? '' : `Available commands with tag ${word}:\n\n${commandList(tagged)}\n`
  return ofTag + named(commands, word) || `No tag or command matches '${word}'\n`
}

/** What is printed when no command was given. */
export function commandUsage(commands: CommandRegistry): string {
  const usage = 'Usage: linnet [--data DIR] [--version API_VERSION] [--auth USER HOST PASSWORD]'
  return `${usage}\n              COMMAND [ARGUMENT ...]\n\nAvailable commands:\n${commandList(commands.list())}`
}

function named(commands: CommandRegistry, word: string): string {
  const command = commands.find(word.replaceAll('-', '_'))
  if (command !== undefined) return describe(command)
  const glob = compileGlob(word)
  const found = glob.ok ? commands.list().filter(({ name }) => glob.value(name)) : []
  const [only] = found
  return found.length === 1 && only !== undefined ? describe(only) : commandList(found)
}

function commandList(commands: readonly Command[]): string {
  return commands
    .map(({ name, args, summary }) => `  ${usageOf(name, args)}\n             ${summary}\n`)
    .join('')
}

function tagList(commands: readonly Command[]): string {
  const tags = [...byTag(commands)].map(
    ([tag, own]) => `  ${tag}\n     ${own.map(({ name }) => name).join(' ')}\n\n`,
  )
  return `Available tags and list of commands:\n\n${tags.join('')}`
}

function commandsByTag(commands: readonly Command[]): string {
  const tags = [...byTag(commands)].map(([tag, own]) => {
    const lines = own.map(({ name, args }) => `    ${usageOf(name, args)}\n`)
    return `\n  ${tag}\n${lines.join('')}`
  })
  return `Available tags and commands details:\n${tags.join('')}\n`
}

function byTag(commands: readonly Command[]): ReadonlyMap<string, readonly Command[]> {
  const tags = new Map<string, Command[]>()
  for (const command of commands) {
    for (const tag of command.tags) tags.getOrInsertComputed(tag, () => []).push(command)
  }
  return new Map([...tags].sort(([a], [b]) => (a < b ? -1 : 1)))
}

function describe({ name, args, result, tags, summary }: Command): string {
  const margin = ' '.repeat(13)
  const lines = args.map((field) => `${field.name}::${typeText(field.type, 0)}\n${margin}`)
  const returns =
    typeof result === 'string'
      ? `res::${result}`
      : fieldText(result.name, result.type, '  Returns: '.length)
  return [
    `  Command Name: ${name}\n\n`,
    `  Arguments: ${lines.length === 0 ? '\n' : lines.join('')}\n`,
    `  Returns: ${returns}\n\n`,
    `  Tags: ${tags.join(', ')}\n\n`,
    `  Description: ${summary}\n\n`,
  ].join('')
}

function usageOf(name: string, args: Command['args']): string {
  return [name, ...args.map((field) => field.name)].join(' ')
}

function fieldText(name: string, type: CommandType, indent: number): string {
  return `${name}::${typeText(type, indent + name.length + 2)}`
}

/** Fields of a tuple stand one below the other; `indent` is where the type starts. */
function typeText(type: CommandType, indent: number): string {
  if (typeof type === 'string') return type
  if ('list' in type) return `[ ${fieldText(type.list.name, type.list.type, indent + 2)} ]`
  const fields = type.tuple.map((field) => fieldText(field.name, field.type, indent + 2))
  return `{ ${fields.join(`,\n${' '.repeat(indent + 2)}`)} }`
}
