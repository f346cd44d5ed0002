import { spawn } from 'node:child_process'
import type { ChildProcessWithoutNullStreams } from 'node:child_process'
import type { Clock, Timer } from '../core/clock.ts'
import type { Log } from '../core/log.ts'
import { BackendError } from './backend.ts'

export interface ProgramPoolSettings {
  /** A command line, run by the shell as in ejabberd. */
  readonly program: string
  readonly size: number
}

interface Request {
  readonly frame: Buffer
  /** May be asked once more when the process died over it. */
  isRepeatable: boolean
  readonly resolve: (answer: boolean) => void
  readonly reject: (error: BackendError) => void
  timer: Timer | undefined
}

/** ejabberd's time limit for a call, waiting for a free process included. */
const callMs = 30_000
const maxWaiting = 1000
/** The length of a message has 16 bits. */
const maxMessageBytes = 0xffff
/** A process that ends sooner than this after its start is started again later and later. */
const soonMs = 1000
const maxPauseMs = 30_000
/** How long a process may take to end. */
const killMs = 5000

/**
 * The processes of `extauth_program`. Each answers one question at a time over its standard input and output: two bytes of
 * length, then the message; the answer is the number 0 or 1 in two bytes, framed alike.
 */
export class ProgramPool {
  readonly #settings: ProgramPoolSettings
  readonly #clock: Clock
  readonly #log: Log
  readonly #workers: Worker[] = []
  readonly #waiting: Request[] = []
  #isClosed = false

  constructor(settings: ProgramPoolSettings, clock: Clock, log: Log) {
    this.#settings = settings
    this.#clock = clock
    this.#log = log
    for (let i = 0; i < settings.size; i++) {
      this.#workers.push(new Worker(settings.program, clock, log, () => this.#assign()))
    }
  }

  /** Rejects with a `BackendError` when there is no answer in time. */
  ask(message: readonly string[], isRepeatable: boolean): Promise<boolean> {
    const bytes = Buffer.from(message.join(':'))
    if (this.#isClosed) return Promise.reject(new BackendError('The program was stopped'))
    if (bytes.length > maxMessageBytes) {
      return Promise.reject(new BackendError('A question is too long for the program'))
    }
    if (this.#waiting.length >= maxWaiting) {
      return Promise.reject(new BackendError('Too many questions wait for the program'))
    }
    if (this.#workers.every((worker) => worker.isResting)) {
      return Promise.reject(new BackendError('The program does not run'))
    }
    const frame = Buffer.alloc(2 + bytes.length)
    frame.writeUInt16BE(bytes.length)
    bytes.copy(frame, 2)
    return new Promise((resolve, reject) => {
      const request: Request = { frame, isRepeatable, resolve, reject, timer: undefined }
      request.timer = this.#clock.after(callMs, () => this.#timeOut(request))
      this.#waiting.push(request)
      this.#assign()
    })
  }

  async close(): Promise<void> {
    this.#isClosed = true
    const error = new BackendError('The program was stopped')
    for (const request of this.#waiting.splice(0)) finish(request, error)
    await Promise.all(this.#workers.map((worker) => worker.close(error)))
  }

  #assign(): void {
    for (const worker of this.#workers) {
      if (!worker.isFree) continue
      const request = this.#waiting.shift()
      if (request === undefined) return
      worker.take(request, (failed) => {
        this.#waiting.unshift(failed)
        this.#assign()
      })
    }
  }

  #timeOut(request: Request): void {
    const at = this.#waiting.indexOf(request)
    if (at >= 0) this.#waiting.splice(at, 1)
    this.#log.error(
      { program: this.#settings.program },
      'The external authentication program does not answer',
    )
    finish(request, new BackendError('The program does not answer'))
    // An answer that came now would be taken for that of the next question.
    for (const worker of this.#workers) worker.drop(request)
  }
}

class Worker {
  readonly #program: string
  readonly #clock: Clock
  readonly #log: Log
  readonly #freed: () => void
  #process: ChildProcessWithoutNullStreams | undefined
  #restart: Timer | undefined
  #request: Request | undefined
  #repeat: ((request: Request) => void) | undefined
  #received: Buffer = Buffer.alloc(0)
  #pauseMs = 0
  #isClosed = false

  constructor(program: string, clock: Clock, log: Log, freed: () => void) {
    this.#program = program
    this.#clock = clock
    this.#log = log
    this.#freed = freed
    this.#start()
  }

  get isFree(): boolean {
    return this.#process !== undefined && this.#request === undefined
  }

  /** Waits to be started again after it ended too soon. */
  get isResting(): boolean {
    return this.#process === undefined && this.#pauseMs > 0
  }

  take(request: Request, repeat: (request: Request) => void): void {
    this.#request = request
    this.#repeat = repeat
    this.#process?.stdin.write(request.frame)
  }

  /** Ends the process if it is busy with this request. */
  drop(request: Request): void {
    if (this.#request !== request) return
    this.#request = undefined
    this.#process?.kill('SIGKILL')
  }

  async close(error: BackendError): Promise<void> {
    this.#isClosed = true
    this.#restart?.cancel()
    if (this.#request !== undefined) finish(this.#request, error)
    this.#request = undefined
    const child = this.#process
    if (child === undefined) return
    const ended = new Promise((resolve) => child.once('close', resolve))
    child.stdin.end()
    child.kill()
    const lastStep = this.#clock.after(killMs, () => child.kill('SIGKILL'))
    await ended
    lastStep.cancel()
  }

  #start(): void {
    const startedAt = this.#clock.monotonic()
    // "exec", so that the shell becomes the program and ends with it.
    const child = spawn('/bin/sh', ['-c', `exec ${this.#program}`], {
      stdio: ['pipe', 'pipe', 'pipe'],
    })
    this.#process = child
    this.#received = Buffer.alloc(0)
    child.stdout.on('data', (bytes: Buffer) => this.#read(bytes))
    child.stderr.on('data', (bytes: Buffer) => {
      this.#log.warn({ output: bytes.toString().slice(0, 1000) }, 'The program complains')
    })
    // A pipe that breaks is followed by the end of the process, which is handled below.
    child.stdin.on('error', (error) => this.#log.debug({ err: error }, 'The program hung up'))
    child.on('error', (error) => this.#log.error({ err: error }, 'Cannot start the program'))
    child.on('close', (code, signal) => this.#ended(startedAt, code, signal))
  }

  #ended(startedAt: number, code: number | null, signal: string | null): void {
    this.#process = undefined
    const request = this.#request
    this.#request = undefined
    if (this.#isClosed) return
    this.#log.error(
      { program: this.#program, code, signal },
      'The external authentication program ended and is started again',
    )
    const isSoon = this.#clock.monotonic() - startedAt < soonMs
    this.#pauseMs = isSoon ? Math.min(Math.max(soonMs, this.#pauseMs * 2), maxPauseMs) : 0
    this.#restart = this.#clock.after(this.#pauseMs, () => {
      this.#start()
      this.#freed()
    })
    if (request === undefined) return
    if (!request.isRepeatable) {
      finish(request, new BackendError('The program ended without an answer'))
      return
    }
    request.isRepeatable = false
    this.#repeat?.(request)
  }

  #read(bytes: Buffer): void {
    this.#received = Buffer.concat([this.#received, bytes])
    if (this.#received.length < 4) return
    const request = this.#request
    const [high, low, zero, answer] = this.#received
    const isAnswer = this.#received.length === 4 && high === 0 && low === 2 && zero === 0
    if (request === undefined || !isAnswer || (answer !== 0 && answer !== 1)) {
      this.#log.error({ program: this.#program }, 'The program answers what nobody understands')
      if (request !== undefined) finish(request, new BackendError('The answer makes no sense'))
      this.#request = undefined
      this.#process?.kill('SIGKILL')
      return
    }
    this.#received = Buffer.alloc(0)
    this.#request = undefined
    request.timer?.cancel()
    request.resolve(answer === 1)
    this.#freed()
  }
}

function finish(request: Request, error: BackendError): void {
  request.timer?.cancel()
  request.reject(error)
}
