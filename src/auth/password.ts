import { createHash, timingSafeEqual } from 'node:crypto'
import { saslprep } from '../xmpp/jid/stringprep.ts'

/** Tokens that stand in for passwords are the longest. */
const maxPasswordBytes = 16 * 1024

/**
 * The form in which passwords are hashed and compared: SASLprep (RFC 4013), which agrees with the Resourceprep that ejabberd
 * uses on all that Resourceprep accepts. Undefined for what can be no password, an empty one above all.
 */
export function prepPassword(password: string): string | undefined {
  if (Buffer.byteLength(password) > maxPasswordBytes) return undefined
  // Clients let characters through that Unicode 3.2 did not know, such as newer emoji (RFC 3454 §7, "queries").
  const prepared = saslprep(password, { allowUnassigned: true })
  return prepared.ok && prepared.value !== '' ? prepared.value : undefined
}

/** Compares in a time that says nothing about where the texts differ. */
export function equalTexts(a: string, b: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(a), digest(b)) && a === b
}

export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && timingSafeEqual(a, b)
}
