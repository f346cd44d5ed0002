import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { apply } from './mutation.ts'
import type { Mutant } from './mutants.ts'
import { parse } from './syntax.ts'

/** A mutant that hangs has failed. */
const patienceMs = 180_000

/** A test that failed, in its file. */
export interface Failure {
  readonly file: string
  readonly name: string
}

/** A copy of the repository in which mutants live, one at a time. */
export class Scratch implements Disposable {
  readonly folder = mkdtempSync(join(tmpdir(), 'linnet-mutate-'))

  constructor(root: string) {
    const listed = execFileSync('git', ['ls-files', '-co', '--exclude-standard'], {
      cwd: root,
      encoding: 'utf8',
      maxBuffer: 1 << 28,
    })
    for (const file of listed.split('\n')) {
      const from = join(root, file)
      // What is deleted and not committed is listed, too.
      if (file === '' || !existsSync(from)) continue
      mkdirSync(dirname(join(this.folder, file)), { recursive: true })
      cpSync(from, join(this.folder, file))
    }
    symlinkSync(join(root, 'node_modules'), join(this.folder, 'node_modules'))
  }

  /** Calls back while the mutant stands in the place of its file. */
  async with<T>({ file, mutation }: Mutant, use: () => Promise<T>): Promise<T> {
    const path = join(this.folder, file)
    const text = readFileSync(path, 'utf8')
    const mutated = apply(text, mutation)
    // What is no program would be noticed by any test.
    await parse(mutated)
    writeFileSync(path, mutated)
    try {
      return await use()
    } finally {
      writeFileSync(path, text)
    }
  }

  /** The names of all tests that fail in a file. */
  async failures(file: string): Promise<ReadonlySet<string>> {
    const failed = new Set<string>()
    await this.#run([file], (failure) => {
      failed.add(failure.name)
      return true
    })
    return failed
  }

  /** The first test that fails in these files, those that `isKnown` aside; undefined when there is none. */
  async firstFailure(
    files: readonly string[],
    isKnown: (failure: Failure) => boolean,
  ): Promise<Failure | undefined> {
    let first: Failure | undefined
    await this.#run(files, (failure) => {
      if (!isKnown(failure)) first ??= failure
      return first === undefined
    })
    return first
  }

  /** Runs test files, two at a time, until `failed` does not want to go on. */
  async #run(files: readonly string[], failed: (failure: Failure) => boolean): Promise<void> {
    const left = [...files]
    const stop = new AbortController()
    const work = async (): Promise<void> => {
      for (let file = left.shift(); file !== undefined; file = left.shift()) {
        const current = file
        await this.#runFile(current, stop.signal, (name) => {
          if (!failed({ file: current, name })) stop.abort()
        })
        if (stop.signal.aborted) return
      }
    }
    await Promise.all([work(), work()])
  }

  async #runFile(file: string, signal: AbortSignal, failed: (name: string) => void): Promise<void> {
    const args = ['--disable-warning=ExperimentalWarning', '--test-reporter=tap', file]
    const child = spawn(process.execPath, args, {
      cwd: this.folder,
      stdio: ['ignore', 'pipe', 'ignore'],
      timeout: patienceMs,
      killSignal: 'SIGKILL',
    })
    const kill = (): void => void child.kill('SIGKILL')
    signal.addEventListener('abort', kill)
    let failures = 0
    for await (const line of createInterface({ input: child.stdout })) {
      const name = /^\s*not ok \d+ - (.*)$/.exec(line)?.[1]
      if (name === undefined) continue
      failures += 1
      failed(name)
    }
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
    signal.removeEventListener('abort', kill)
    if (signal.aborted || child.exitCode === 0 || failures > 0) return
    failed(`${file} ends with ${child.exitCode ?? child.signalCode ?? ''}`)
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true, force: true })
  }
}
