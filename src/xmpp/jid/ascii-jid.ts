const inLocalpart = 1
const inDomainpart = 2
const inResourcepart = 4

/**
 * Which canonical parts an ASCII character may stand in. Dots of domainparts are looked at one by
 * one.
 */
const asciiClass = Uint8Array.from({ length: 128 }, (_, unit) => {
  const character = String.fromCharCode(unit)
  if (unit < 0x20 || unit === 0x7f) return 0
  let parts = inResourcepart
  if (!/[A-Z "&'/:<>@]/.test(character)) parts |= inLocalpart
  if (/[a-z0-9_-]/.test(character)) parts |= inDomainpart
  return parts
})

/**
 * Is this a JID in ASCII that preparation would leave as it is? Says no to some exotic ones (IPv6,
 * long), never yes to others.
 */
export function isCanonicalAscii(text: string): boolean {
  const end = text.length
  if (end > 1023) return false
  const slash = text.indexOf('/')
  const at = localpartEnd(text)
  const domainEnd = slash < 0 ? end : slash
  if (at === 0 || slash === end - 1) return false
  for (let i = 0; i < at; i++) {
    if (!isIn(text.charCodeAt(i), inLocalpart)) return false
  }
  let labelStart = at + 1
  for (let i = labelStart; i < domainEnd; i++) {
    const unit = text.charCodeAt(i)
    if (isIn(unit, inDomainpart)) continue
    if (unit !== 0x2e || i === labelStart) return false
    labelStart = i + 1
  }
  if (labelStart === domainEnd) return false
  for (let i = domainEnd + 1; i < end; i++) {
    if (!isIn(text.charCodeAt(i), inResourcepart)) return false
  }
  return true
}

function isIn(unit: number, part: number): boolean {
  return unit < 128 && ((asciiClass[unit] ?? 0) & part) !== 0
}

/** The index of the `@` behind the localpart, -1 without one. A resourcepart may hold `@`, too. */
export function localpartEnd(jid: string): number {
  const at = jid.indexOf('@')
  if (at < 0) return -1
  const slash = jid.indexOf('/')
  return slash < 0 || at < slash ? at : -1
}
