import { readFileSync } from 'node:fs'

/** Kept for files, databases and what else the server opens itself. */
const reserved = 256

/**
 * How many connections fit into this process. When descriptors run out, libuv accepts connections and closes them without a word, and
 * opening a file fails as well; so connections are refused before it comes to that. `Infinity` where the limit cannot be known.
 */
export function connectionLimit(): number {
  const limit = descriptorLimit()
  return limit === Infinity ? limit : limit - Math.min(reserved, Math.floor(limit / 4))
}

function descriptorLimit(): number {
  let limits: string
  try {
    limits = readFileSync('/proc/self/limits', 'latin1')
  } catch {
    // Not Linux.
    return Infinity
  }
  const soft = /^Max open files +(\d+)/m.exec(limits)?.[1]
  return soft === undefined ? Infinity : Number(soft)
}
