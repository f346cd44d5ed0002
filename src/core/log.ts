import type { Logger, LoggerOptions } from 'pino'
import { pino } from 'pino'

/** Fields first, then the sentence: `log.warn({ jid }, 'Cannot store offline message')`. Never a password, never a message body. */
export type Log = Pick<
  Logger,
  'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'isLevelEnabled'
> & { child(fields: Record<string, unknown>): Log }

/** ejabberd's names, least talkative first. */
export const logLevels = [
  'none',
  'emergency',
  'alert',
  'critical',
  'error',
  'warning',
  'notice',
  'info',
  'debug',
] as const

export type LogLevel = (typeof logLevels)[number]

const pinoLevel: Record<LogLevel, string> = {
  none: 'silent',
  emergency: 'fatal',
  alert: 'fatal',
  critical: 'fatal',
  error: 'error',
  warning: 'warn',
  notice: 'info',
  info: 'info',
  debug: 'debug',
}

const secretPaths = ['password', 'newpass', 'token', 'secret', '*.password', '*.token', '*.secret']

export interface LogOptions {
  readonly level: LogLevel
  /** Modules that are logged at `debug` always (`log_modules_fully`). */
  readonly modulesFully?: readonly string[]
  /** `hide_sensitive_log_data`: addresses of clients are masked. */
  readonly hideAddresses?: boolean
  /** Where the lines go; standard error unless a test or `log_*` options say otherwise. */
  readonly destination?: { write(line: string): void }
  /** `json` (one object a line) or `text`. */
  readonly format?: 'json' | 'text'
}

/** The process's logs: one root, a child for each module, one place to change the level. */
export class Logs {
  readonly #root: Logger
  readonly #children = new Map<string, Logger>()
  #level: LogLevel
  #modulesFully: ReadonlySet<string>
  #hideAddresses: boolean

  constructor(options: LogOptions) {
    this.#level = options.level
    this.#modulesFully = new Set(options.modulesFully)
    this.#hideAddresses = options.hideAddresses ?? false
    const target = options.destination ?? process.stderr
    const stream = options.format === 'text' ? textStream(target) : target
    this.#root = pino(
      {
        level: pinoLevel[options.level],
        base: null,
        timestamp: pino.stdTimeFunctions.isoTime,
        formatters: { level: (label) => ({ level: label }) },
        redact: { paths: secretPaths, censor: '[hidden]' },
        hooks: {
          logMethod: hideAddresses(() => this.#hideAddresses),
        },
      },
      stream,
    )
  }

  get level(): LogLevel {
    return this.#level
  }

  setLevel(level: LogLevel): void {
    this.#level = level
    this.#applyLevels()
  }

  configure(options: { modulesFully: readonly string[]; hideAddresses: boolean }): void {
    this.#modulesFully = new Set(options.modulesFully)
    this.#hideAddresses = options.hideAddresses
    this.#applyLevels()
  }

  /** The log of one part; `name` is a module's key (`mod_ping`) or a folder (`mqtt`). */
  for(name: string): Log {
    let child = this.#children.get(name)
    if (child === undefined) {
      child = this.#root.child({ module: name })
      child.level = this.#levelOf(name)
      this.#children.set(name, child)
    }
    return child
  }

  #levelOf(name: string): string {
    return this.#modulesFully.has(name) ? 'debug' : pinoLevel[this.#level]
  }

  #applyLevels(): void {
    this.#root.level = pinoLevel[this.#level]
    for (const [name, child] of this.#children) child.level = this.#levelOf(name)
  }
}

function hideAddresses(
  enabled: () => boolean,
): NonNullable<NonNullable<LoggerOptions['hooks']>['logMethod']> {
  return function (args, method) {
    const fields: unknown = args[0]
    if (enabled() && typeof fields === 'object' && fields !== null && 'ip' in fields) {
      Reflect.set(args, 0, { ...fields, ip: '[hidden]' })
    }
    method.apply(this, args)
  }
}

/** What pino calls otherwise than ejabberd. */
const textLevels = new Map([
  ['warn', 'warning'],
  ['fatal', 'critical'],
])

/** ejabberd-like lines: `2026-11-21 10:00:00.000 [info] mod_ping: Sentence key=value`. */
function textStream(target: { write(line: string): void }): { write(line: string): void } {
  return {
    write(line) {
      const { time, level, module, msg, err, ...fields } = JSON.parse(line)
      let text = `${String(time).replace('T', ' ').replace('Z', '')} [${textLevels.get(level) ?? level}] ${module === undefined ? '' : `${module}: `}${msg ?? ''}`
      for (const [name, value] of Object.entries(fields)) {
        text += ` ${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`
      }
      if (err !== undefined)
        text += `\n  ${String(err.stack ?? err.message).replaceAll('\n', '\n  ')}`
      target.write(`${text}\n`)
    },
  }
}

/** Drops everything; for tests and tools that have no log. */
export const silentLog: Log = pino({ level: 'silent' })
