import { flushCompileCache } from 'node:module'

/** Gives back what only the start needed, some 12 MB. To be called when the server is up. */
export function settleMemory(): void {
  // bin/linnet names a cache of compiled code; a server that is killed should leave it filled as well.
  flushCompileCache()
  // Only there with --expose-gc, which bin/linnet gives.
  globalThis.gc?.({ type: 'major', execution: 'sync', flavor: 'last-resort' })
}
