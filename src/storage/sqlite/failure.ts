import { StorageError } from '../../core/store.ts'
import type { StorageErrorCode } from '../../core/store.ts'
import type { Failure } from './protocol.ts'

/** SQLite's primary result codes (https://sqlite.org/rescode.html) that mean more than "other" to us. */
const codes: Readonly<Record<number, StorageErrorCode>> = {
  5: 'unavailable', // SQLITE_BUSY: another process holds the lock for longer than busy_timeout
  6: 'unavailable', // SQLITE_LOCKED
  7: 'unavailable', // SQLITE_NOMEM
  8: 'unavailable', // SQLITE_READONLY
  10: 'unavailable', // SQLITE_IOERR
  11: 'corrupt', // SQLITE_CORRUPT
  13: 'full', // SQLITE_FULL
  14: 'unavailable', // SQLITE_CANTOPEN
  19: 'constraint', // SQLITE_CONSTRAINT
  26: 'corrupt', // SQLITE_NOTADB
}

export function storageError([code, message]: Failure): StorageError {
  // The low byte of an extended code is the primary one.
  return new StorageError(codes[code & 0xff] ?? 'other', message)
}
