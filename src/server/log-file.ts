import { closeSync, existsSync, openSync, renameSync, rmSync, statSync, writeSync } from 'node:fs'

export interface LogFileOptions {
  readonly path: string
  /** `log_rotate_size`: bytes at which the file is put aside; `Infinity` never. */
  readonly maxBytes: number
  /** `log_rotate_count`: files put aside that are kept (`linnet.log.0` is the newest, as in ejabberd). */
  readonly keep: number
}

/** A log file that rotates by size, and is opened anew when asked (`reopen_log`, SIGHUP after an external rotation). */
export class LogFile {
  #options: LogFileOptions
  #file: number
  #bytes: number

  constructor(options: LogFileOptions) {
    this.#options = options
    this.#file = openSync(options.path, 'a', 0o640)
    this.#bytes = statSync(options.path).size
  }

  configure(options: Pick<LogFileOptions, 'maxBytes' | 'keep'>): void {
    this.#options = { ...this.#options, ...options }
  }

  write(line: string): void {
    if (this.#bytes > 0 && this.#bytes + Buffer.byteLength(line) > this.#options.maxBytes) {
      this.rotate()
    }
    this.#bytes += writeSync(this.#file, line)
  }

  rotate(): void {
    const { path, keep } = this.#options
    closeSync(this.#file)
    rmSync(`${path}.${keep - 1}`, { force: true })
    for (let i = keep - 2; i >= 0; i--) {
      if (existsSync(`${path}.${i}`)) renameSync(`${path}.${i}`, `${path}.${i + 1}`)
    }
    if (keep > 0) renameSync(path, `${path}.0`)
    else rmSync(path, { force: true })
    this.#open()
  }

  reopen(): void {
    closeSync(this.#file)
    this.#open()
  }

  close(): void {
    closeSync(this.#file)
  }

  #open(): void {
    this.#file = openSync(this.#options.path, 'a', 0o640)
    this.#bytes = statSync(this.#options.path).size
  }
}
