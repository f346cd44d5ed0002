import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { ConfigSource } from '../core/config/load.ts'

/** The configuration that is used when there is none: `npm start` names it, and so does a server started without a file. */
export const builtInConfig = fileURLToPath(new URL('../../config/default.yml', import.meta.url))

/** Where the configuration comes from: the option, the environment, then the usual places, else the built-in one. */
export function findConfig(option: string | undefined): ConfigSource & { readonly path: string } {
  const named = option ?? process.env['LINNET_CONFIG_PATH'] ?? process.env['EJABBERD_CONFIG_PATH']
  if (named !== undefined) return { path: named }
  const usual = ['linnet.yml', '/etc/linnet/linnet.yml'].find((path) => existsSync(path))
  return { path: usual ?? builtInConfig }
}

/** Where databases, certificates and the control socket live. */
export function findDataDir(option: string | undefined): string {
  return option ?? process.env['LINNET_DATA_DIR'] ?? 'data'
}
