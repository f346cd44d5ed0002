import type { SqlValue } from '../../core/store.ts'

/** `write` and `read` are connections that the thread holds; `copy` makes one backup and ends. */
export interface WorkerSettings {
  readonly file: string
  readonly write: boolean
  readonly read: boolean
  readonly synchronous: 'full' | 'off'
  readonly busyTimeoutMs: number
  /** The most pages the file may grow to. */
  readonly maxPages: number | undefined
  /** Look through the whole file for damage before use. */
  readonly check: boolean
  readonly copyTo: string | undefined
}

/**
 * Operations one after the other, flat, because a message of plain values is what crosses threads fastest:
 * `[statements, (statement number, values, value …) …] …`.
 */
export type PackedOperations = SqlValue[]

/** SQL texts travel once; afterwards a statement is its position in the list of all texts sent. */
interface Texts {
  /** Texts that follow those sent before. */
  readonly texts?: readonly string[]
  /** Drop all statements first. */
  readonly forget?: boolean
}

export type WorkerRequest = Texts & { readonly id: number } & (
    | { readonly kind: 'commit'; readonly operations: PackedOperations }
    /** Each operation is one statement, run on the reading connection. */
    | { readonly kind: 'read'; readonly operations: PackedOperations }
    | { readonly kind: 'begin' }
    /** One statement inside the transaction that is open. */
    | { readonly kind: 'run'; readonly operations: PackedOperations }
    | { readonly kind: 'end'; readonly commit: boolean }
    | { readonly kind: 'close' }
  )

/** SQLite's extended result code (1 for what is not SQLite's) and its message. */
export type Failure = readonly [code: number, message: string]

/** Column names, then the values of all rows one after the other. */
export type PackedRows = readonly [columns: readonly string[], values: readonly SqlValue[]]

export type WorkerResponse = { readonly id: number } & (
  | {
      readonly ok: true
      /** Per operation: rows changed, or -1 for those in `failures`. */
      readonly changes: readonly number[]
      readonly failures?: readonly (readonly [operation: number, failure: Failure])[]
      readonly rows?: readonly (readonly [operation: number, rows: PackedRows])[]
    }
  | { readonly ok: false; readonly failure: Failure }
)
