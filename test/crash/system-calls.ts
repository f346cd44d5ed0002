/** One line of `strace -f -y`: a call that was begun, ended, or both. */
export interface SystemCall {
  readonly name: string
  /** Arguments and result as strace writes them; of a call that was interrupted by others, all of it. */
  readonly text: string
  /** Where in the trace it began and ended, in lines. */
  readonly began: number
  readonly ended: number
}

/** Reads what `strace -f -o` wrote; calls that were interrupted by other threads are put together again. */
export function readSystemCalls(trace: string): readonly SystemCall[] {
  const calls: SystemCall[] = []
  const open = new Map<string, { readonly text: string; readonly began: number }>()
  for (const [index, line] of trace.split('\n').entries()) {
    const match = /^(\d+) +(.*)$/.exec(line)
    const [, thread = '', rest = ''] = match ?? []
    const unfinished = /^(.*) <unfinished \.\.\.>$/.exec(rest)
    if (unfinished !== null) {
      open.set(thread, { text: unfinished[1] ?? '', began: index })
      continue
    }
    const resumed = /^<\.\.\. \w+ resumed>(.*)$/.exec(rest)
    const before = resumed === null ? undefined : open.get(thread)
    open.delete(thread)
    const text = before === undefined ? rest : before.text + (resumed?.[1] ?? '')
    const name = /^(\w+)\(/.exec(text)?.[1]
    if (name === undefined) continue // signals and exits
    calls.push({ name, text, began: before?.began ?? index, ended: index })
  }
  return calls
}
