import { randomBytes } from 'node:crypto'
import { unmask } from './unmask.ts'

/** Kinds of frames (RFC 6455 §11.8). */
export const opcodes = {
  continuation: 0,
  text: 1,
  binary: 2,
  close: 8,
  ping: 9,
  pong: 10,
} as const

export type Opcode = (typeof opcodes)[keyof typeof opcodes]
export type ControlOpcode = typeof opcodes.close | typeof opcodes.ping | typeof opcodes.pong

/** The longest header that a server writes: no mask. */
export const maxHeaderBytes = 10
/** RFC 6455 §5.5 */
export const maxControlBytes = 125

const finalBit = 0x80
const maskedBit = 0x80
const maskBytes = 4

/** Writes the header of a whole message, unmasked as a server's are (RFC 6455 §5.1), and returns its length. */
export function writeFrameHeader(target: Buffer, opcode: Opcode, length: number): number {
  target[0] = finalBit | opcode
  if (length <= 125) {
    target[1] = length
    return 2
  }
  if (length <= 0xffff) {
    target[1] = 126
    target.writeUInt16BE(length, 2)
    return 4
  }
  target[1] = 127
  target.writeUInt32BE(Math.floor(length / 0x1_0000_0000), 2)
  target.writeUInt32BE(length >>> 0, 6)
  return 10
}

/** A whole control frame; more than 125 bytes of payload are a bug. */
export function controlFrame(opcode: ControlOpcode, payload: Uint8Array): Buffer {
  if (payload.length > maxControlBytes) throw new RangeError('A control frame is too long')
  const frame = Buffer.allocUnsafe(2 + payload.length)
  frame[0] = finalBit | opcode
  frame[1] = payload.length
  frame.set(payload, 2)
  return frame
}

/** A whole message of a client, made of these pieces, `length` bytes altogether, and masked (RFC 6455 §5.3). */
export function maskedFrame(opcode: Opcode, pieces: readonly Uint8Array[], length: number): Buffer {
  const frame = Buffer.allocUnsafe(maxHeaderBytes + maskBytes + length)
  let at = writeFrameHeader(frame, opcode, length)
  frame[1] = (frame[1] ?? 0) | maskedBit
  // Nobody may foretell it (RFC 6455 §10.3).
  const key = randomBytes(maskBytes).readInt32BE()
  at = frame.writeInt32BE(key, at)
  const start = at
  for (const piece of pieces) {
    frame.set(piece, at)
    at += piece.length
  }
  unmask(frame, start, at, key, 0)
  return frame.subarray(0, at)
}

/** A Close frame with code and reason (RFC 6455 §5.5.1), or with neither. */
export function closeFrame(code?: number, reason = ''): Buffer {
  if (code === undefined) return controlFrame(opcodes.close, Buffer.alloc(0))
  const payload = Buffer.allocUnsafe(2 + Buffer.byteLength(reason))
  payload.writeUInt16BE(code)
  payload.write(reason, 2)
  return controlFrame(opcodes.close, payload)
}
