// Writes src/xmpp/jid/tables.ts from the text of RFC 3454, whose appendices are the tables' only source:
//   node tools/stringprep-tables.ts rfc3454.txt > src/xmpp/jid/tables.ts
import { readFileSync } from 'node:fs'

interface Table {
  readonly name: string
  readonly lines: string[]
}

/** Page breaks of the RFC's text fall inside tables. */
const pageBreak = /^(?:\f?RFC 3454|Hoffman & Blanchet|\f|$)/

function readTables(text: string): Map<string, string[]> {
  const tables = new Map<string, string[]>()
  let current: Table | undefined
  for (const line of text.split('\n')) {
    const mark = /^ +----- (Start|End) Table (\S+) -----$/.exec(line)
    if (mark?.[1] === 'Start') {
      current = { name: String(mark[2]), lines: [] }
    } else if (mark) {
      if (current === undefined || current.name !== mark[2]) {
        throw new Error(`Table "${mark[2]}" ends but never started`)
      }
      tables.set(current.name, current.lines)
      current = undefined
    } else if (current && !pageBreak.test(line.trimEnd())) {
      current.lines.push(line.trim())
    }
  }
  return tables
}

interface Range {
  readonly first: number
  readonly last: number
}

/** `0221`, `0234-024F` or `0020; SPACE`: a code point or a range of them, then perhaps its name. */
function readRange(line: string): Range {
  const range = /^([0-9A-F]+)(?:-([0-9A-F]+))?(?:;.*)?$/.exec(line)
  if (!range) throw new Error(`Cannot read "${line}" as a range`)
  const first = parseInt(String(range[1]), 16)
  return { first, last: range[2] === undefined ? first : parseInt(range[2], 16) }
}

/** Joins what touches or overlaps: C.2.2, C.6 and C.8 share code points. */
function mergeRanges(ranges: readonly Range[]): Range[] {
  const merged: Range[] = []
  for (const range of ranges.toSorted((a, b) => a.first - b.first)) {
    const before = merged.at(-1)
    if (before && range.first <= before.last + 1) {
      merged[merged.length - 1] = { first: before.first, last: Math.max(before.last, range.last) }
    } else {
      merged.push(range)
    }
  }
  return merged
}

function writeRange({ first, last }: Range): string {
  const hex = (codePoint: number): string => codePoint.toString(16).toUpperCase().padStart(4, '0')
  return first === last ? hex(first) : `${hex(first)}-${hex(last)}`
}

/** `00DF; 0073 0073; Case map`: a code point and what it becomes. */
function readMapping(line: string): string {
  const mapping = /^([0-9A-F]+); ((?:[0-9A-F]+ ?)+);.*$/.exec(line)
  if (!mapping) throw new Error(`Cannot read "${line}" as a mapping`)
  return `${mapping[1]}=${String(mapping[2]).replaceAll(' ', '+')}`
}

function wrap(words: readonly string[]): string {
  const lines: string[] = []
  let line = ''
  for (const word of words) {
    if (line.length + word.length > 98) {
      lines.push(line)
      line = ''
    }
    line += line === '' ? word : ` ${word}`
  }
  return [...lines, line].join('\n')
}

const source = process.argv[2]
if (source === undefined) throw new Error('Usage: node tools/stringprep-tables.ts rfc3454.txt')
const tables = readTables(readFileSync(source, 'utf8'))

function linesOf(...names: readonly string[]): string[] {
  return names.flatMap((name) => {
    const lines = tables.get(name)
    if (!lines) throw new Error(`"${source}" has no table ${name}`)
    return lines
  })
}

function emit(name: string, comment: string, words: readonly string[]): void {
  process.stdout.write(`\n/** ${comment} */\nexport const ${name} = \`\n${wrap(words)}\n\`\n`)
}

function emitRanges(name: string, comment: string, lines: readonly string[]): void {
  emit(name, comment, mergeRanges(lines.map(readRange)).map(writeRange))
}

process.stdout.write(
  '// Written by tools/stringprep-tables.ts from RFC 3454: do not edit. Code points are hexadecimal.\n',
)
const others = ['C.2.2', 'C.3', 'C.4', 'C.5', 'C.6', 'C.7', 'C.8', 'C.9']
emitRanges('unassigned', 'A.1: unassigned in Unicode 3.2.', linesOf('A.1'))
emitRanges('mappedToNothing', 'B.1: mapped to nothing.', linesOf('B.1'))
emit('caseFolding', 'B.2: case folding for use with NFKC.', linesOf('B.2').map(readMapping))
emitRanges('nonAsciiSpaces', 'C.1.2: spaces other than U+0020.', linesOf('C.1.2'))
emitRanges('otherProhibited', 'C.2.2 to C.9: prohibited by every profile.', linesOf(...others))
emitRanges('rightToLeft', 'D.1: bidirectional property R or AL.', linesOf('D.1'))
emitRanges('leftToRight', 'D.2: bidirectional property L.', linesOf('D.2'))
