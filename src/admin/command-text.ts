import type { Command, CommandError, CommandType, CommandValue, Field } from '../core/command.ts'
import type { Result } from '../util/result.ts'
import { err, ok } from '../util/result.ts'

/** Reads shell words as a command's arguments: digits for integers, lists with commas, tuples with colons, deeper nesting as JSON. */
export function parseWords(
  command: Command,
  words: readonly string[],
): Result<readonly CommandValue[], string> {
  const missing = command.args.length - words.length
  if (missing !== 0) {
    // ejabberdctl's words, which say "argument" whatever the number.
    const text = `${Math.abs(missing)} ${missing > 0 ? 'more' : 'less'} argument`
    return err(`Error: the command '${command.name}' requires ${text}.`)
  }
  const values: CommandValue[] = []
  for (const [i, field] of command.args.entries()) {
    const parsed = parseWord(words[i] ?? '', field.type, 0)
    if (!parsed.ok) return err(`Error: argument '${field.name}': ${parsed.error}`)
    values.push(parsed.value)
  }
  return ok(values)
}

function parseWord(word: string, type: CommandType, depth: number): Result<CommandValue, string> {
  if (type === 'integer') {
    return /^-?\d+$/.test(word)
      ? ok(Number(word))
      : err(`expected an integer, got ${JSON.stringify(word)}`)
  }
  if (typeof type === 'string') return ok(word)
  const isNested = depth > 0 || hasNesting(type)
  if (isNested && /^\s*[[{]/.test(word)) return parseJson(word, type)
  if ('list' in type) {
    // As in ejabberdctl: spaces around an element do not belong to it, and there are no empty elements.
    const parts = word.split(',').filter((part) => part !== '')
    return collect(parts.map((part) => parseWord(part.trim(), type.list.type, depth + 1)))
  }
  const parts = splitTuple(word, type.tuple.length)
  if (parts.length !== type.tuple.length) {
    return err(`expected ${type.tuple.map(({ name }) => name).join(':')}`)
  }
  return collect(type.tuple.map((field, i) => parseWord(parts[i] ?? '', field.type, depth + 1)))
}

/** The last field may hold colons itself. */
function splitTuple(word: string, length: number): readonly string[] {
  const parts = word.split(':')
  return parts.length <= length
    ? parts
    : [...parts.slice(0, length - 1), parts.slice(length - 1).join(':')]
}

function hasNesting(type: { list: Field } | { tuple: readonly Field[] }): boolean {
  const inner = 'list' in type ? [type.list] : type.tuple
  return inner.some(({ type: own }) => typeof own !== 'string')
}

function parseJson(word: string, type: CommandType): Result<CommandValue, string> {
  try {
    return fromJson(JSON.parse(word), type)
  } catch (error) {
    if (error instanceof SyntaxError) return err(`not JSON: ${error.message}`)
    throw error
  }
}

/** A JSON value as an argument: objects by field name for tuples, scalars for lists of one, digits for integers. */
export function fromJson(value: unknown, type: CommandType): Result<CommandValue, string> {
  if (type === 'integer') {
    if (typeof value === 'number' && Number.isInteger(value)) return ok(value)
    if (typeof value === 'string' && /^-?\d+$/.test(value)) return ok(Number(value))
    return err('expected an integer')
  }
  if (typeof type === 'string') {
    if (typeof value === 'string') return ok(value)
    if (value === null) return ok('')
    return err('expected a string')
  }
  if ('list' in type) {
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
      return fromPairs(value, type.list.type)
    }
    const items: readonly unknown[] = Array.isArray(value) ? value : [value]
    return collect(items.map((item) => fromJson(item, type.list.type)))
  }
  if (Array.isArray(value)) {
    return collect(type.tuple.map((field, i) => fromJson(value[i], field.type)))
  }
  if (typeof value !== 'object' || value === null) return err('expected an object')
  const fields = new Map<string, unknown>(Object.entries(value))
  for (const name of fields.keys()) {
    if (!type.tuple.some((field) => field.name === name)) return err(`unknown field "${name}"`)
  }
  return collect(
    type.tuple.map((field) =>
      fields.has(field.name)
        ? fromJson(fields.get(field.name), field.type)
        : err(`the field "${field.name}" is missing`),
    ),
  )
}

/** `{"title": "Room"}` for a list of `{name, value}` tuples. */
function fromPairs(value: object, type: CommandType): Result<CommandValue, string> {
  if (typeof type === 'string' || 'list' in type || type.tuple.length !== 2) {
    return err('expected a list')
  }
  const [, second] = type.tuple
  const valueType = second?.type ?? 'binary'
  return collect(
    Object.entries(value).map(([name, own]): Result<CommandValue, string> => {
      const parsed = fromJson(own, valueType)
      return parsed.ok ? ok([name, parsed.value]) : parsed
    }),
  )
}

function collect(
  results: readonly Result<CommandValue, string>[],
): Result<readonly CommandValue[], string> {
  const values: CommandValue[] = []
  for (const result of results) {
    if (!result.ok) return result
    values.push(result.value)
  }
  return ok(values)
}

/** A result as the shell shows it: one element of a list a line, tuple fields with tabs, inner lists with commas (`;` in version 0). */
export function formatResult(command: Command, value: CommandValue, version: number): string {
  if (command.result === 'rescode') return ''
  if (command.result === 'restuple') return value === '' ? '' : line(String(value))
  const { type } = command.result
  if (typeof type === 'object' && 'list' in type) {
    if (!Array.isArray(value)) return ''
    return value.map((item) => line(formatValue(item, type.list.type, version))).join('')
  }
  return line(formatValue(value, type, version))
}

/**
 * A failure as ejabberdctl shows it, which has three forms: errors with a number (`Error: conflict: User …`), plain ones, and
 * those that ejabberd throws, printed as the Erlang terms that they are there (`{not_found,"unknown_user"}`).
 */
export function formatError(error: CommandError): string {
  const { code, message, number } = error
  if (number > 0) return `Error: ${code}: ${line(message)}`
  // A word alone is an atom that ejabberd throws.
  if (code === 'error' && /^[a-z]\w*$/.test(message)) return `${message}\n`
  if (code === 'error') {
    // Several lines (what is wrong with a configuration) are for reading: no quotes, no escapes.
    return `Error: error\n${message.includes('\n') ? line(message) : `Error: ${JSON.stringify(message)}\n`}`
  }
  return message === '' ? `${code}\n` : `{${code},${JSON.stringify(message)}}\n`
}

/** The exit code of a failure: ejabberd's own number where it fits into one. */
export function errorExit({ number }: CommandError): number {
  return number > 0 && number <= 255 ? number : 1
}

function line(text: string): string {
  return text.endsWith('\n') ? text : `${text}\n`
}

function formatValue(value: CommandValue, type: CommandType, version: number): string {
  if (typeof type === 'string' || !Array.isArray(value)) return String(value)
  if ('list' in type) {
    const separator = version === 0 ? ';' : ','
    return value.map((item) => formatValue(item, type.list.type, version)).join(separator)
  }
  return type.tuple.map((field, i) => formatValue(value[i] ?? '', field.type, version)).join('\t')
}
