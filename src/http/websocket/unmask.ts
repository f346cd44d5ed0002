import { endianness } from 'node:os'

/** From so many bytes on, making a view of words costs less than it saves. */
const wordsFrom = 128
const isLittleEndian = endianness() === 'LE'

/** Undoes masking in place (RFC 6455 §5.3). `key` is big-endian, `offset` the place of `start` within the frame's payload. */
export function unmask(
  buffer: Uint8Array,
  start: number,
  end: number,
  key: number,
  offset: number,
): void {
  const shift = (offset & 3) * 8
  let turned = shift === 0 ? key : (key << shift) | (key >>> (32 - shift))
  let i = start
  if (end - start >= wordsFrom) {
    // Up to a whole word of memory, then by words, which leaves the key turned as it is.
    for (; (buffer.byteOffset + i) & 3; i++) {
      buffer[i] = (buffer[i] ?? 0) ^ (turned >>> 24)
      turned = (turned << 8) | (turned >>> 24)
    }
    const words = new Int32Array(buffer.buffer, buffer.byteOffset + i, (end - i) >> 2)
    const word = isLittleEndian ? swapped(turned) : turned
    for (let w = 0; w < words.length; w++) words[w] = (words[w] ?? 0) ^ word
    i += words.length * 4
  }
  for (; i < end; i++) {
    buffer[i] = (buffer[i] ?? 0) ^ (turned >>> 24)
    turned = (turned << 8) | (turned >>> 24)
  }
}

function swapped(word: number): number {
  return (word << 24) | ((word & 0xff00) << 8) | ((word >>> 8) & 0xff00) | (word >>> 24)
}
