import { mkdirSync } from 'node:fs'
import { resolve } from 'node:path'
import { formatProblems } from '../core/config/check.ts'
import { ConfigError, createServer } from '../server.ts'
import type { LinnetServer, ServerSettings } from '../server.ts'
import { findConfig, findDataDir } from './config-source.ts'
import { firstAdmin } from './first-admin.ts'
import { settleMemory } from './footprint.ts'

/**
 * `linnet serve`: runs until SIGTERM or SIGINT; a second one stops at once (`quit`), SIGHUP reads the configuration again.
 * Returns the exit code: 0 after a clean stop.
 */
export async function serve(
  options: { config?: string | undefined; data?: string | undefined },
  quit: (code: number) => void,
): Promise<number> {
  const startedAt = performance.now()
  const dataDir = resolve(findDataDir(options.data))
  const source = findConfig(options.config)
  let server: LinnetServer
  try {
    mkdirSync(dataDir, { recursive: true, mode: 0o700 })
    server = await createServer({ source, dataDir, ...logSettings() })
  } catch (error) {
    if (error instanceof ConfigError) process.stderr.write(formatProblems(error.problems))
    else process.stderr.write(`linnet: ${error instanceof Error ? error.message : String(error)}\n`)
    return 1
  }
  // Warnings go to the log as well; at a terminal they should not be missed.
  process.stderr.write(formatProblems(server.problems))

  let signals = 0
  const stop = (): void => {
    signals++
    if (signals === 1) server.stop()
    else quit(1) // an operator who asks twice does not want to wait for anybody
  }
  process.on('SIGTERM', stop)
  process.on('SIGINT', stop)
  process.on('SIGHUP', () => void server.reload()) // what goes wrong is logged

  try {
    await server.start()
    for (const line of server.addresses) process.stdout.write(`${line}\n`)
    const admin = await firstAdmin(server)
    if (admin !== undefined) process.stdout.write(admin)
  } catch (error) {
    // Asked to stop before it was up, it did.
    if (signals > 0) return (await server.ended) ? 0 : 1
    process.stderr.write(`linnet: ${error instanceof Error ? error.message : String(error)}\n`)
    server.stop()
    await server.ended
    return 1
  }
  const ms = Math.round(performance.now() - startedAt)
  process.stdout.write(`Linnet ${server.version} is ready after ${ms} ms\n`)
  settleMemory()
  return (await server.ended) ? 0 : 1
}

/** `LINNET_LOG_PATH` names a file; `LINNET_LOG_FORMAT` is `json` or `text`, which is also what a terminal gets. */
function logSettings(): Pick<ServerSettings, 'log' | 'logPath'> {
  const { LINNET_LOG_PATH: logPath, LINNET_LOG_FORMAT: asked } = process.env
  const isForPeople = logPath === undefined && process.stderr.isTTY
  const format = asked === 'json' || asked === 'text' ? asked : isForPeople ? 'text' : 'json'
  return { log: { format }, ...(logPath === undefined ? {} : { logPath }) }
}
