import type { Command, CommandRegistry, CommandType } from '../core/command.ts'

/** What `linnet help`, `help COMMAND`, `help tags` and `help TAG` print. */
export function commandHelp(commands: CommandRegistry, words: readonly string[]): string {
  const [word] = words
  if (word === undefined || word === 'commands') return commandList(commands.list())
  if (word === 'tags') return tagList(commands.list())
  const command = commands.find(word.replaceAll('-', '_'))
  if (command !== undefined) return describe(command)
  const tagged = commands.list().filter(({ tags }) => tags.includes(word))
  if (tagged.length > 0) return commandList(tagged)
  return `Error: unknown command or tag '${word}'\n`
}

function commandList(commands: readonly Command[]): string {
  const width = Math.max(0, ...commands.map(({ name, args }) => usage(name, args).length))
  const lines = commands.map(
    ({ name, args, summary }) => `  ${usage(name, args).padEnd(width)}  ${summary}`,
  )
  return `${lines.join('\n')}\n`
}

function tagList(commands: readonly Command[]): string {
  const tags = new Map<string, string[]>()
  for (const { name, tags: own } of commands) {
    for (const tag of own) tags.set(tag, [...(tags.get(tag) ?? []), name])
  }
  return [...tags]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([tag, names]) => `  ${tag}: ${names.join(', ')}\n`)
    .join('')
}

function describe(command: Command): string {
  const args = command.args.map(({ name, type }) => `${name}::${typeText(type)}`)
  const result =
    typeof command.result === 'string'
      ? command.result
      : `${command.result.name}::${typeText(command.result.type)}`
  return [
    `  Command Name: ${command.name}`,
    '',
    `  Arguments: ${args.join(', ')}`,
    '',
    `  Returns: ${result}`,
    '',
    `  Tags: ${command.tags.join(', ')}`,
    '',
    `  Description: ${command.summary}`,
    '',
  ].join('\n')
}

function usage(name: string, args: Command['args']): string {
  return [name, ...args.map((field) => `<${field.name}>`)].join(' ')
}

function typeText(type: CommandType): string {
  if (typeof type === 'string') return type
  if ('list' in type) return `[ ${type.list.name}::${typeText(type.list.type)} ]`
  return `{ ${type.tuple.map((field) => `${field.name}::${typeText(field.type)}`).join(', ')} }`
}
