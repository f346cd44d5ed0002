/*
 * As much of DER (X.690) as it takes to find a few fields that Node does not give (other names in certificates, flags of TLS
 * sessions) and to make a certificate. Whatever does not fit ends a walk early; reading never throws.
 */

export interface DerValue {
  /** The identifier octet as it stands: 0x30 SEQUENCE, 0xa0 [0] constructed, … */
  readonly tag: number
  readonly content: Uint8Array
}

/** The values that stand one after another in `bytes`; stops at the first that is malformed. */
export function derValues(bytes: Uint8Array): readonly DerValue[] {
  const values: DerValue[] = []
  let at = 0
  while (at + 2 <= bytes.length) {
    const tag = bytes[at] ?? 0
    let length = bytes[at + 1] ?? 0
    at += 2
    // Tags of several octets appear nowhere in what we read.
    if ((tag & 0x1f) === 0x1f) break
    if (length > 0x7f) {
      const octets = length & 0x7f
      if (octets === 0 || octets > 4 || at + octets > bytes.length) break
      length = 0
      for (const end = at + octets; at < end; at++) length = length * 256 + (bytes[at] ?? 0)
    }
    if (at + length > bytes.length) break
    values.push({ tag, content: bytes.subarray(at, at + length) })
    at += length
  }
  return values
}

/** The content of the only or first value, if it has that tag. */
export function derContent(bytes: Uint8Array, tag: number): Uint8Array | undefined {
  const first = derValues(bytes)[0]
  return first?.tag === tag ? first.content : undefined
}

/** An OBJECT IDENTIFIER's content in dotted form. */
export function derObjectId(content: Uint8Array): string {
  const parts: number[] = []
  let part = 0
  for (const octet of content) {
    part = part * 128 + (octet & 0x7f)
    if (octet & 0x80) continue
    if (parts.length === 0) {
      const first = Math.min(2, Math.floor(part / 40))
      parts.push(first, part - first * 40)
    } else {
      parts.push(part)
    }
    part = 0
  }
  return parts.join('.')
}

/** A value of that tag with these contents one after another. */
export function der(tag: number, ...contents: readonly Uint8Array[]): Buffer {
  const content = Buffer.concat(contents)
  const { length } = content
  const head = [tag]
  if (length < 0x80) head.push(length)
  else if (length < 0x100) head.push(0x81, length)
  else head.push(0x82, length >> 8, length & 0xff)
  return Buffer.concat([Buffer.from(head), content])
}

export function derSequence(...contents: readonly Uint8Array[]): Buffer {
  return der(0x30, ...contents)
}

export function derOid(id: string): Buffer {
  const [first = 0, second = 0, ...rest] = id.split('.').map(Number)
  const octets: number[] = []
  for (const part of [first * 40 + second, ...rest]) {
    const groups = [part & 0x7f]
    for (let left = part >>> 7; left > 0; left >>>= 7) groups.unshift((left & 0x7f) | 0x80)
    octets.push(...groups)
  }
  return der(0x06, Buffer.from(octets))
}

/** A UTF8String. */
export function derText(text: string): Buffer {
  return der(0x0c, Buffer.from(text))
}

/** A non-negative INTEGER from its octets. */
export function derUnsigned(octets: Uint8Array): Buffer {
  const needsZero = (octets[0] ?? 0) >= 0x80
  return der(0x02, needsZero ? Buffer.from([0]) : Buffer.alloc(0), octets)
}

/** RFC 5280 §4.1.2.5: UTCTime until 2049, GeneralizedTime from then on; whole seconds. */
export function derTime(date: Date): Buffer {
  const digits = date.toISOString().replace(/[-:T]/g, '').slice(0, 14)
  if (date.getUTCFullYear() < 2050) return der(0x17, Buffer.from(`${digits.slice(2)}Z`))
  return der(0x18, Buffer.from(`${digits}Z`))
}
