import { exitCodeFor, formatProblems } from '../core/config/check.ts'
import { loadConfig } from '../core/config/load.ts'
import { configSchema } from './schema.ts'
import { findConfig, findDataDir } from './config-source.ts'
import { version } from './version.ts'

/** `linnet check-config`: says everything that is wrong with a configuration; changes nothing. Returns the exit code. */
export async function checkConfig(options: {
  config?: string | undefined
  data?: string | undefined
}): Promise<number> {
  const source = findConfig(options.config)
  const { config, problems } = await loadConfig(source, configSchema(), {
    version,
    databasePath: findDataDir(options.data),
  })
  const code = exitCodeFor(problems)
  const stream = code === 0 ? process.stdout : process.stderr
  stream.write(formatProblems(problems))
  if (config !== undefined) process.stdout.write(`The configuration "${source.path}" is good\n`)
  return code
}
