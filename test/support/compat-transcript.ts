/*
 * Transcripts of a shell: what was typed, what came back, and the exit code. They are recorded from ejabberdctl and then
 * played against Linnet. One step each:
 *
 *   $ register user1 localhost Pass          a command, in shell words
 *   User user1@localhost successfully …      its output, with {integer}, {time}, {word} for what differs each time
 *   = 0                                      its exit code
 *   > user1@localhost/phone signs in with Pass      something that a client does, which prints nothing
 */
export interface CommandStep {
  readonly kind: 'command'
  /** As it is written, without the `$`. */
  readonly text: string
  readonly words: readonly string[]
  readonly output: string
  readonly exit: number
}

export interface ClientStep {
  readonly kind: 'client'
  readonly text: string
}

export interface Remark {
  readonly kind: 'remark'
  readonly text: string
}

export type Step = CommandStep | ClientStep | Remark

export function parseTranscript(text: string): readonly Step[] {
  const steps: Step[] = []
  const lines = text.split('\n')
  for (let at = 0; at < lines.length; at++) {
    const line = lines[at] ?? ''
    if (line.startsWith('$ ')) {
      const output: string[] = []
      while (at + 1 < lines.length && !/^= \d+$/.test(lines[at + 1] ?? '')) {
        output.push(lines[++at] ?? '')
      }
      const end = lines[++at]
      if (end === undefined) throw new Error(`"${line}" has no exit code`)
      steps.push({
        kind: 'command',
        text: line.slice(2),
        words: shellWords(line.slice(2)),
        output: output.map((own) => `${own}\n`).join(''),
        exit: Number(end.slice(2)),
      })
    } else if (line.startsWith('> ')) {
      steps.push({ kind: 'client', text: line.slice(2) })
    } else if (line === '' || line.startsWith('#')) {
      steps.push({ kind: 'remark', text: line })
    } else {
      throw new Error(`Cannot read the line "${line}"`)
    }
  }
  return steps
}

export function formatTranscript(steps: readonly Step[]): string {
  return steps
    .map((step) => {
      if (step.kind === 'remark') return step.text
      if (step.kind === 'client') return `> ${step.text}`
      return `$ ${step.text}\n${step.output}= ${step.exit}`
    })
    .join('\n')
}

/** Words as a shell splits them; quotes of both kinds, nothing else. */
export function shellWords(text: string): readonly string[] {
  const words: string[] = []
  for (const [word] of text.matchAll(/(?:'[^']*'|"[^"]*"|[^\s'"])+/g)) {
    words.push(word.replaceAll(/'([^']*)'|"([^"]*)"/g, '$1$2'))
  }
  return words
}

const patterns: Readonly<Record<string, string>> = {
  integer: String.raw`-?\d+`,
  time: String.raw`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z`,
  word: String.raw`\S+`,
  text: String.raw`[^\n]*`,
  lines: String.raw`[^]*`,
}

/** Whether some output is the one that was expected, where `{integer}` and its like stand for anything of that kind. */
export function matches(expected: string, actual: string): boolean {
  const source = expected
    .replaceAll('{lines}\n', '{lines}')
    .split(/\{(\w+)\}/)
    .map((part, i) => (i % 2 === 0 ? RegExp.escape(part) : (patterns[part] ?? `\\{${part}\\}`)))
    .join('')
  return new RegExp(`^${source}$`).test(actual)
}

export interface Actor {
  /** Runs a command and returns what a shell would see. */
  command(words: readonly string[]): Promise<{ readonly exit: number; readonly output: string }>
  /** Does what a line that starts with `>` says. */
  client(text: string): Promise<void>
}

export interface PlayedStep {
  readonly expected: CommandStep
  readonly actual: { readonly exit: number; readonly output: string }
  readonly isEqual: boolean
}

/** Plays a transcript; the steps that ran a command, with what they really printed. */
export async function play(steps: readonly Step[], actor: Actor): Promise<readonly PlayedStep[]> {
  const played: PlayedStep[] = []
  for (const step of steps) {
    if (step.kind === 'client') await actor.client(step.text)
    if (step.kind !== 'command') continue
    const actual = await actor.command(step.words)
    const isEqual = actual.exit === step.exit && matches(step.output, actual.output)
    played.push({ expected: step, actual, isEqual })
  }
  return played
}

/** The transcript with the output that was really printed; lines that match keep their patterns. */
export function rerecord(steps: readonly Step[], played: readonly PlayedStep[]): readonly Step[] {
  const actual = new Map(played.map((own) => [own.expected, own]))
  return steps.map((step) => {
    const own = step.kind === 'command' ? actual.get(step) : undefined
    if (step.kind !== 'command' || own === undefined || own.isEqual) return step
    return { ...step, exit: own.actual.exit, output: own.actual.output }
  })
}
