import { readFile } from 'node:fs/promises'
import { basename, dirname } from 'node:path'
import type { Clock } from '../../core/clock.ts'
import type { Log } from '../../core/log.ts'
import { StorageError } from '../../core/store.ts'

/** How a database server is reached; times in ms. */
export interface ServerSettings {
  readonly server: string
  readonly port: number
  readonly database: string
  readonly username: string
  readonly password: string
  readonly poolSize: number
  readonly connectTimeoutMs: number
  readonly queryTimeoutMs: number
  readonly startIntervalMs: number
  readonly keepaliveIntervalMs: number
  readonly updateSchemaTimeoutMs: number
  readonly preparedStatements: boolean
  readonly ssl: SslSettings | undefined
}

export interface SslSettings {
  readonly verify: boolean
  readonly caFile?: string
  /** Certificate and key in one PEM file. */
  readonly certFile?: string
}

export interface ServerTools {
  readonly log: Log
  readonly clock: Clock
}

/** The path of `unix:PATH`. */
export function socketPath(server: string): string | undefined {
  return server.startsWith('unix:') ? server.slice('unix:'.length) : undefined
}

/** PostgreSQL's client wants the directory and takes the port from the name: `DIR/.s.PGSQL.PORT`. */
export function postgresSocket(path: string, port: number): { host: string; port: number } {
  const match = /^\.s\.PGSQL\.(\d+)$/.exec(basename(path))
  return match === null ? { host: path, port } : { host: dirname(path), port: Number(match[1]) }
}

/** What `node:tls` needs of us. */
export interface TlsOptions {
  readonly rejectUnauthorized: boolean
  readonly ca?: Buffer
  readonly cert?: Buffer
  readonly key?: Buffer
}

/** Files are read once, when the store opens. */
export async function tlsOptions(ssl: SslSettings): Promise<TlsOptions> {
  const read = async (file: string): Promise<Buffer> => {
    try {
      return await readFile(file)
    } catch (error) {
      throw new StorageError('unavailable', `Cannot read "${file}"`, error)
    }
  }
  const pem = ssl.certFile === undefined ? undefined : await read(ssl.certFile)
  return {
    rejectUnauthorized: ssl.verify,
    ...(ssl.caFile !== undefined && { ca: await read(ssl.caFile) }),
    ...(pem !== undefined && { cert: pem, key: pem }),
  }
}
