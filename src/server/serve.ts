import { mkdirSync } from 'node:fs'
import { resolve } from 'node:path'
import { formatProblems } from '../core/config/check.ts'
import { ConfigError, createServer } from '../server.ts'
import type { ServerSettings } from '../server.ts'
import { findConfig, findDataDir } from './config-source.ts'
import { firstAdmin } from './first-admin.ts'

/** `linnet serve`: runs until SIGTERM or SIGINT; a second one stops at once, SIGHUP reads the configuration again. Returns the exit code. */
export async function serve(options: {
  config?: string | undefined
  data?: string | undefined
}): Promise<number> {
  const startedAt = performance.now()
  const dataDir = resolve(findDataDir(options.data))
  mkdirSync(dataDir, { recursive: true, mode: 0o700 })
  const source = findConfig(options.config)
  let server
  try {
    server = await createServer({ source, dataDir, ...logSettings() })
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    process.stderr.write(formatProblems(error.problems))
    return 1
  }
  // Warnings go to the log as well; at a terminal they should not be missed.
  process.stderr.write(formatProblems(server.problems))

  let signals = 0
  const stop = (): void => {
    signals++
    if (signals === 1) server.stop()
    else process.exit(1) // an operator who asks twice does not want to wait for anybody
  }
  process.on('SIGTERM', stop)
  process.on('SIGINT', stop)
  process.on('SIGHUP', () => {
    server.reload().catch((error: unknown) => {
      server.log.error({ err: error }, 'Cannot reload the configuration')
    })
  })

  try {
    await server.start()
  } catch (error) {
    process.stderr.write(`linnet: ${error instanceof Error ? error.message : String(error)}\n`)
    await server.ended
    return 1
  }
  for (const line of server.addresses) process.stdout.write(`${line}\n`)
  const admin = await firstAdmin(server)
  if (admin !== undefined) process.stdout.write(admin)
  const ms = Math.round(performance.now() - startedAt)
  process.stdout.write(`Linnet ${server.version} is ready after ${ms} ms\n`)
  await server.ended
  return 0
}

/** `LINNET_LOG_PATH` names a file; `LINNET_LOG_FORMAT` is `json` or `text`, which is also what a terminal gets. */
function logSettings(): Pick<ServerSettings, 'log' | 'logPath'> {
  const { LINNET_LOG_PATH: logPath, LINNET_LOG_FORMAT: asked } = process.env
  const isForPeople = logPath === undefined && process.stderr.isTTY
  const format = asked === 'json' || asked === 'text' ? asked : isForPeople ? 'text' : 'json'
  return { log: { format }, ...(logPath === undefined ? {} : { logPath }) }
}
