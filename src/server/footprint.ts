import { flushCompileCache } from 'node:module'
import { setFlagsFromString } from 'node:v8'

/** Gives back what only the start needed, some 12 MB, and sets how the heap grows. To be called when the server is up. */
export function settleMemory(): void {
  // bin/linnet names a cache of compiled code; a server that is killed should leave it filled as well.
  flushCompileCache()
  // Only there with --expose-gc, which bin/linnet gives.
  globalThis.gc?.({ type: 'major', execution: 'sync', flavor: 'last-resort' })
  // The old generation may double before it is collected. With V8's own choice, which is 8 MB for a heap of ours, a rush of
  // logins spends a quarter of its time marking.
  setFlagsFromString('--heap-growing-percent=100')
  // Node reports some 100 KB for each TLS connection as memory outside the heap. V8 marks the heap anew for each 64 MB of
  // that, however many connections there are; with this it waits until the sum has grown by a third.
  setFlagsFromString('--external-memory-accounted-in-global-limit')
}
