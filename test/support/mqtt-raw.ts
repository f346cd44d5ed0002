import { variableByteIntegerLength } from '../../src/mqtt/packet/size.ts'
import { writeVariableByteInteger } from '../../src/mqtt/packet/writer.ts'

/** A part of a packet: hex with spaces for reading, or bytes. */
export type Part = string | Uint8Array

export function bytes(...parts: readonly Part[]): Buffer {
  return Buffer.concat(
    parts.map((part) =>
      typeof part === 'string' ? Buffer.from(part.replaceAll(' ', ''), 'hex') : part,
    ),
  )
}

/** A text, or bytes that pass for one, with their two-byte length. */
export function field(text: string | Uint8Array): Buffer {
  const content = Buffer.from(text)
  return bytes(Buffer.from([content.length >> 8, content.length & 0xff]), content)
}

/** A packet with its first byte as given and the Remaining Length that fits the parts. */
export function packet(first: number, ...parts: readonly Part[]): Buffer {
  const body = bytes(...parts)
  const head = Buffer.alloc(1 + variableByteIntegerLength(body.length))
  head[0] = first
  writeVariableByteInteger(head, 1, body.length)
  return bytes(head, body)
}
