import { mkdir, open, rename, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { StorageError } from '../../core/store.ts'

/** What SQLite keeps beside the file while it is in use or was left in haste. */
const companions = ['-wal', '-shm', '-journal']

/** A file that must be looked through takes this long at most to read: beyond, damage shows when a query meets it. */
const maxCheckedBytes = 256 * 1024 * 1024

/**
 * Makes sure that the file can be opened, readable by nobody else: it holds passwords' keys and messages. Returns whether it
 * should be looked through before use: it was left without being closed, and is small enough.
 */
export async function prepareFile(file: string): Promise<boolean> {
  try {
    const before = await sizeOf(file)
    if (before === undefined || before === 0) {
      await mkdir(dirname(file), { recursive: true, mode: 0o750 })
      await (await open(file, 'a', 0o600)).close()
      return false
    }
    const left = (await sizeOf(`${file}-wal`)) ?? 0
    return left > 0 && before <= maxCheckedBytes
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new StorageError('unavailable', `Cannot open database "${file}": ${reason}`, error)
  }
}

/**
 * Moves a database that cannot be read out of the way, so that a new one can take its place, and returns its new name.
 * Only the caller can know that this is right: what was in it is not in the new one.
 */
export async function setAside(file: string, now: number = Date.now()): Promise<string> {
  const target = `${file}.broken-${stamp(now)}`
  await rename(file, target)
  for (const suffix of companions) {
    if ((await sizeOf(file + suffix)) !== undefined) await rename(file + suffix, target + suffix)
  }
  return target
}

/** A moment as part of a file name: `20261121T102030Z`. */
export function stamp(now: number): string {
  return new Date(now).toISOString().replace(/[-:]|\.\d+/g, '')
}

export async function sizeOf(file: string): Promise<number | undefined> {
  try {
    return (await stat(file)).size
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  }
}
