import { resolve } from 'node:path'
import { callServer } from './control-socket.ts'
import type { ControlRequest } from './control-socket.ts'

/** `linnet [--data DIR] [--version N] [--auth USER HOST PASSWORD] COMMAND …`: asks the running server, prints, returns the exit code. */
export async function runCommand(argv: readonly string[]): Promise<number> {
  const parsed = parse(argv)
  if (typeof parsed === 'string') {
    process.stderr.write(`linnet: ${parsed}\n`)
    return 2
  }
  const answer = await callServer(parsed.dataDir, parsed.request)
  if (answer === undefined) {
    process.stderr.write(
      `Error: no server is running with the data directory "${parsed.dataDir}" (--data or LINNET_DATA_DIR names another)\n`,
    )
    return 3
  }
  await new Promise<void>((written) => {
    const stream = answer.exit === 0 ? process.stdout : process.stderr
    stream.write(answer.output, () => written())
  })
  return answer.exit
}

function parse(argv: readonly string[]): { dataDir: string; request: ControlRequest } | string {
  let dataDir = process.env['LINNET_DATA_DIR'] ?? 'data'
  let version: number | undefined
  let auth: ControlRequest['auth']
  let at = 0
  for (; at < argv.length; at++) {
    const word = argv[at] ?? ''
    if (!word.startsWith('-')) break
    const [next, second, third] = argv.slice(at + 1)
    if (word === '--data' && next !== undefined) {
      dataDir = next
      at++
    } else if (word === '--version' && next !== undefined && /^\d+$/.test(next)) {
      version = Number(next)
      at++
    } else if (
      word === '--auth' &&
      next !== undefined &&
      second !== undefined &&
      third !== undefined
    ) {
      auth = [next, second, third]
      at += 3
    } else if (word === '--no-timeout' || word === '-t') {
      continue // ejabberdctl's; commands here have no time-out to switch off
    } else {
      return `unknown or incomplete option "${word}"`
    }
  }
  return {
    dataDir: resolve(dataDir),
    request: {
      words: argv.slice(at),
      ...(version === undefined ? {} : { version }),
      ...(auth === undefined ? {} : { auth }),
    },
  }
}
