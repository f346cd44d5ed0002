import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { callServer } from '../../src/admin/control-socket.ts'
import type { ControlAnswer } from '../../src/admin/control-socket.ts'
import type { CtlResult } from './ejabberd.ts'

const launcher = fileURLToPath(new URL('../../bin/linnet', import.meta.url))

/** Linnet as an operator runs it: a process of its own, told what to do through its control socket. */
export interface LinnetProcess extends AsyncDisposable {
  /** Holds the configuration and the data. */
  readonly dir: string
  readonly dataDir: string
  /** What it has printed so far. */
  readonly output: string
  /** Sends words to the control socket, as `linnet …` does, without a process for each. */
  control(...words: readonly string[]): Promise<ControlAnswer>
  /** Runs `linnet …` itself. */
  command(...words: readonly string[]): Promise<CtlResult>
  signal(name: 'SIGHUP' | 'SIGTERM'): void
  /** Resolves with the exit code when it has gone. */
  readonly ended: Promise<number | null>
}

/** Starts `linnet serve` with this configuration, and resolves when it is ready. */
export async function startLinnet(settings: { readonly config: string }): Promise<LinnetProcess> {
  const dir = await mkdtemp(join(tmpdir(), 'linnet-compat-'))
  const dataDir = join(dir, 'data')
  const configFile = join(dir, 'linnet.yml')
  await writeFile(configFile, settings.config)
  const child = spawn(launcher, ['serve', '--config', configFile, '--data', dataDir], {
    cwd: dir,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const kill = (): void => void child.kill('SIGKILL')
  process.on('exit', kill)
  const ended = once(child, 'exit').then(([code]) => {
    process.off('exit', kill)
    return typeof code === 'number' ? code : null
  })
  let output = ''
  const ready = new Promise<void>((resolve) => {
    const read = (chunk: Buffer): void => {
      output += chunk.toString()
      if (/ is ready after /.test(output)) resolve()
    }
    child.stdout.on('data', read)
    child.stderr.on('data', read)
  })
  const failed = ended.then(() => {
    throw new Error(`Linnet did not start:\n${output}`)
  })
  const server: LinnetProcess = {
    dir,
    dataDir,
    get output() {
      return output
    },
    async control(...words) {
      const answer = await callServer(dataDir, { words })
      if (answer === undefined) throw new Error(`Linnet is not running:\n${output}`)
      return answer
    },
    command: (...words) => runLinnet(['--data', dataDir, ...words], dir),
    signal: (name) => void child.kill(name),
    ended,
    async [Symbol.asyncDispose]() {
      kill()
      await ended
      await rm(dir, { recursive: true, force: true })
    },
  }
  try {
    await Promise.race([ready, failed])
    failed.catch(() => undefined) // ends one day, which is no failure any more
  } catch (error) {
    await server[Symbol.asyncDispose]()
    throw error
  }
  return server
}

/** Runs `linnet` with these words and waits for its end. */
export function runLinnet(words: readonly string[], cwd: string): Promise<CtlResult> {
  return new Promise((resolve) => {
    execFile(launcher, words, { cwd }, (error, stdout, stderr) => {
      const code = typeof error?.code === 'number' ? error.code : 1
      resolve({ exit: error === null ? 0 : code, stdout, stderr })
    })
  })
}
