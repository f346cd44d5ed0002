/*
 * Transcripts in Markdown that can be played again. Code blocks of the language `console` hold `$ command` lines, each
 * followed by its output; a line `...` stands for any lines. What follows `console` says how a block is played:
 *
 *   (nothing)          one command after the other, each to its end
 *   background=NAME    one command that goes on; the next block is played once its lines have come. It ends when
 *                      another command of that NAME is started
 *   continued=NAME     lines that the command of that NAME shows later
 *   skip               not played
 */
export interface TypedCommand {
  readonly command: string
  readonly output: readonly string[]
}

export type Block =
  | {
      readonly kind: 'foreground'
      readonly line: number
      readonly commands: readonly TypedCommand[]
    }
  | {
      readonly kind: 'background'
      readonly line: number
      readonly name: string
      readonly command: TypedCommand
    }
  | {
      readonly kind: 'continued'
      readonly line: number
      readonly name: string
      readonly output: readonly string[]
    }

export function consoleBlocks(markdown: string): readonly Block[] {
  const blocks: Block[] = []
  const lines = markdown.split('\n')
  for (let at = 0; at < lines.length; at++) {
    const opening = /^```console(?: (\S+))?$/.exec(lines[at] ?? '')
    if (opening === null) continue
    const end = lines.indexOf('```', at)
    const body = lines.slice(at + 1, end)
    const line = at + 1
    at = end
    const block = blockOf(opening[1], body, line)
    if (block !== undefined) blocks.push(block)
  }
  return blocks
}

function blockOf(
  how: string | undefined,
  body: readonly string[],
  line: number,
): Block | undefined {
  if (how === 'skip') return undefined
  if (how === undefined) return { kind: 'foreground', line, commands: commandsIn(body) }
  const [, kind, name = ''] = /^(background|continued)=(\w+)$/.exec(how) ?? []
  if (kind === 'continued') return { kind, line, name, output: body }
  const [command, ...others] = commandsIn(body)
  if (kind !== 'background' || command === undefined || others.length > 0) {
    throw new Error(`README.md:${line}: cannot read this block`)
  }
  return { kind, line, name, command }
}

function commandsIn(body: readonly string[]): readonly TypedCommand[] {
  const commands: { command: string; output: string[] }[] = []
  for (const line of body) {
    if (line.startsWith('$ ')) commands.push({ command: line.slice(2), output: [] })
    else commands.at(-1)?.output.push(line)
  }
  return commands
}

/** Whether the lines that came are those that were expected; the first lines of them are enough for `isStart`. */
export function linesMatch(
  expected: readonly string[],
  actual: readonly string[],
  isStart = false,
): boolean {
  const [head, ...rest] = expected
  if (head === undefined) return isStart || actual.length === 0
  if (head === '...') {
    for (let skipped = 0; skipped <= actual.length; skipped++) {
      if (linesMatch(rest, actual.slice(skipped), isStart)) return true
    }
    return false
  }
  const [first, ...others] = actual
  return first !== undefined && normal(first) === normal(head) && linesMatch(rest, others, isStart)
}

/** Times differ each time. */
function normal(line: string): string {
  return line.replaceAll(/\b\d+ ms\b/g, 'N ms').trimEnd()
}
