import { chmodSync, chownSync, lstatSync, mkdirSync, renameSync, rmSync, statSync } from 'node:fs'
import { basename, dirname, isAbsolute, join } from 'node:path'
import { err, ok } from '../../util/result.ts'
import type { Result } from '../../util/result.ts'

/** Who may use a socket; undefined = as the process makes files. */
export interface UnixSocketAccess {
  readonly mode: number | undefined
  readonly owner: number | undefined
  readonly group: number | undefined
}

/** Where a socket will be, and under which name it is made. */
export interface UnixSocketPaths {
  readonly path: string
  readonly temporary: string
}

/** What `sun_path` holds, without the closing NUL. */
const maxPathBytes = 107

/**
 * Prepares `unix:PATH`: a relative one is below the data directory, a missing directory is made. The socket is made under a
 * temporary name and renamed when its permissions are right, so that nobody connects before.
 */
export function prepareUnixSocket(port: string, dataDir: string): Result<UnixSocketPaths, string> {
  const written = port.replace(/^unix:/, '')
  const path = isAbsolute(written) ? written : join(dataDir, written)
  const directory = dirname(path)
  const name = `.${basename(path).slice(0, 8)}.${process.pid}`
  const temporary = join(directory, name)
  for (const one of [path, temporary]) {
    const bytes = Buffer.byteLength(one)
    if (bytes > maxPathBytes) return err(`path of ${bytes} bytes is longer than ${maxPathBytes}`)
  }
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 })
    const old = lstatSync(path, { throwIfNoEntry: false })
    // A socket there is left over from a run before; anything else is somebody's file.
    if (old !== undefined && !old.isSocket()) return err('there is a file that is no socket')
    rmSync(temporary, { force: true })
    return ok({ path, temporary })
  } catch (error) {
    return err(error instanceof Error ? error.message : String(error))
  }
}

/** Gives the bound socket its permissions and its name; returns the way to take it away again. */
export function publishUnixSocket(paths: UnixSocketPaths, access: UnixSocketAccess): () => void {
  const { path, temporary } = paths
  if (access.mode !== undefined) chmodSync(temporary, access.mode)
  if (access.owner !== undefined || access.group !== undefined) {
    const { uid, gid } = statSync(temporary)
    chownSync(temporary, access.owner ?? uid, access.group ?? gid)
  }
  renameSync(temporary, path)
  const { ino } = statSync(path)
  return () => {
    // Another process may have put its own there by now.
    if (lstatSync(path, { throwIfNoEntry: false })?.ino === ino) rmSync(path, { force: true })
  }
}
