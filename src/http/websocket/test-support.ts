/* What tests of WebSockets share: frames as clients write them, legal or not. */

export interface ClientFrameSettings {
  readonly isFinal?: boolean
  readonly mask?: number
}

/** A masked frame; `payload` is text of one byte a character. */
export function clientFrame(
  opcode: number,
  payload: string | Buffer,
  settings: ClientFrameSettings = {},
): Buffer {
  const { isFinal = true, mask = 0x37fa213d } = settings
  const bytes = typeof payload === 'string' ? Buffer.from(payload, 'latin1') : payload
  const key = Buffer.alloc(4)
  key.writeUInt32BE(mask)
  const masked = bytes.map((byte, i) => byte ^ (key[i & 3] ?? 0))
  return Buffer.concat([header(opcode, bytes.length, isFinal), key, masked])
}

function header(opcode: number, length: number, isFinal: boolean): Buffer {
  const first = (isFinal ? 0x80 : 0) | opcode
  if (length < 126) return Buffer.from([first, 0x80 | length])
  if (length <= 0xffff) return Buffer.from([first, 0xfe, length >> 8, length & 0xff])
  const long = Buffer.alloc(10)
  long[0] = first
  long[1] = 0xff
  long.writeBigUInt64BE(BigInt(length), 2)
  return long
}
