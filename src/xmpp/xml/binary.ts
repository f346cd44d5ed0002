/**
 * A binary string holds one byte of UTF-8 per character. Sources of elements are kept so: V8 copies,
 * slices and searches such strings faster than Buffers, a slice needs no allocation of its own, and
 * nothing pins the Buffer pool. Writing one is a plain copy ('latin1').
 */
export type BinaryString = string

let scratch = Buffer.alloc(4096)
const maxScratchBytes = 65_536

function room(bytes: number): Buffer {
  if (bytes <= scratch.length) return scratch
  const larger = Buffer.allocUnsafeSlow(bytes)
  if (bytes <= maxScratchBytes) scratch = larger
  return larger
}

/** `binary` must hold valid UTF-8. */
export function fromBinary(binary: BinaryString): string {
  const buffer = room(binary.length)
  return buffer.toString('utf8', 0, buffer.write(binary, 0, 'latin1'))
}

/** A lone surrogate, which UTF-8 cannot express, becomes U+FFFD. */
export function toBinary(text: string): BinaryString {
  const buffer = room(text.length * 3)
  return buffer.toString('latin1', 0, buffer.write(text, 0, 'utf8'))
}

// A slice of a string keeps the whole string alive. That is fine while the whole is small.
const maxPinned = 1024

/** `text.slice(start, end)` that keeps at most 1 KiB more than itself alive. */
export function ownSlice(text: BinaryString, start: number, end: number): BinaryString {
  const part = text.slice(start, end)
  // V8 copies parts shorter than 13 characters anyway.
  if (part.length < 13 || text.length - part.length <= maxPinned) return part
  const buffer = room(part.length)
  return buffer.toString('latin1', 0, buffer.write(part, 0, 'latin1'))
}

const internSlots = 1024
const interned = Array.from({ length: internSlots }, () => '')

/**
 * `text.slice(start, end)` for names and namespaces, of which there are few: answers the same string
 * object each time, so that comparing it and finding it in a Map is cheap. Bounded: a newcomer takes
 * the slot of its predecessor.
 */
export function internSlice(text: BinaryString, start: number, end: number): BinaryString {
  const length = end - start
  if (length === 0) return ''
  if (length > 64) return ownSlice(text, start, end)
  const hash =
    length +
    text.charCodeAt(start) * 7 +
    text.charCodeAt(end - 1) * 31 +
    text.charCodeAt(start + (length >> 1)) * 131 +
    text.charCodeAt(end - ((length + 3) >> 2)) * 523
  const slot = hash & (internSlots - 1)
  const known = interned[slot] ?? ''
  if (known.length === length && text.startsWith(known, start)) return known
  // Through a Buffer, as a mere slice would keep all of `text` alive for as long as the slot.
  const buffer = room(length)
  const fresh = buffer.toString('latin1', 0, buffer.write(text.slice(start, end), 0, 'latin1'))
  interned[slot] = fresh
  return fresh
}
