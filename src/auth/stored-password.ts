import type { PasswordForm, ScramHash, ScramKeys } from '../core/account.ts'
import { hashBytes, maxIterations } from './derivations.ts'
import { decodeBase64 } from './sasl/base64.ts'

/** What the table `users` holds of a password. */
export type StoredPassword = { readonly kind: 'plain'; readonly password: string } | ScramPassword

export interface ScramPassword {
  readonly kind: 'scram'
  readonly keys: ScramKeys
}

/** The columns of a row; `type` is 0 where the table is of the older layout without it. */
export interface PasswordRow {
  readonly type: number
  readonly password: string
  readonly serverkey: string
  readonly salt: string
  readonly iterationcount: number
}

/** ejabberd's numbers in `users.type`; 0 is a row from before there was that column. */
const typeOf = { plain: 1, sha1: 2, sha256: 3, sha512: 4 } as const
const hashes: Readonly<Record<number, ScramHash>> = { 2: 'sha1', 3: 'sha256', 4: 'sha512' }

export const formHashes = {
  scram_sha1: 'sha1',
  scram_sha256: 'sha256',
  scram_sha512: 'sha512',
} as const satisfies Record<Exclude<PasswordForm, 'plain'>, ScramHash>

export function formOf(stored: StoredPassword): PasswordForm {
  return stored.kind === 'plain' ? 'plain' : `scram_${stored.keys.hash}`
}

/** Reads a row as ejabberd of any version writes it; undefined when it makes no sense. */
export function parseRow(row: PasswordRow): StoredPassword | undefined {
  if (row.iterationcount === 0 && row.serverkey === '' && row.salt === '') {
    return row.type <= typeOf.plain ? { kind: 'plain', password: row.password } : undefined
  }
  const { hash, text } = hashOf(row)
  if (hash === undefined) return undefined
  const storedKey = decodeBase64(text)
  const serverKey = decodeBase64(row.serverkey)
  const salt = decodeBase64(row.salt)
  const iterations = row.iterationcount
  if (storedKey?.length !== hashBytes[hash] || serverKey?.length !== hashBytes[hash]) {
    return undefined
  }
  if (salt === undefined || salt.length === 0) return undefined
  if (iterations < 1 || iterations > maxIterations) return undefined
  return { kind: 'scram', keys: { hash, storedKey, serverKey, salt, iterations } }
}

/** Older layouts say the hash by a prefix of the stored key, SHA-1 by none. */
function hashOf({ type, password }: PasswordRow): { hash: ScramHash | undefined; text: string } {
  if (type !== 0) return { hash: hashes[type], text: password }
  const prefix = /^(sha256|sha512):/.exec(password)?.[1]
  if (prefix === 'sha256' || prefix === 'sha512') {
    return { hash: prefix, text: password.slice(prefix.length + 1) }
  }
  return { hash: 'sha1', text: password }
}

/** The row for a password; in the older layout the hash goes where `hashOf` finds it. */
export function formatRow(stored: StoredPassword, hasTypes: boolean): PasswordRow {
  if (stored.kind === 'plain') {
    const { password } = stored
    const type = hasTypes ? typeOf.plain : 0
    return { type, password, serverkey: '', salt: '', iterationcount: 0 }
  }
  const { hash, storedKey, serverKey, salt, iterations } = stored.keys
  const prefix = hasTypes || hash === 'sha1' ? '' : `${hash}:`
  return {
    type: hasTypes ? typeOf[hash] : 0,
    password: prefix + toBase64(storedKey),
    serverkey: toBase64(serverKey),
    salt: toBase64(salt),
    iterationcount: iterations,
  }
}

function toBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64')
}
