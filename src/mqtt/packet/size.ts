/** The largest Variable Byte Integer, and so the largest Remaining Length (MQTT5 1.5.5). */
export const maxVariableByteInteger = 268_435_455

/** Number of bytes of a Variable Byte Integer. */
export function variableByteIntegerLength(value: number): 1 | 2 | 3 | 4 {
  return value < 128 ? 1 : value < 16_384 ? 2 : value < 2_097_152 ? 3 : 4
}

/** Size of a packet, fixed header included, by its Remaining Length. */
export function packetBytes(remainingLength: number): number {
  return 1 + variableByteIntegerLength(remainingLength) + remainingLength
}

/** The largest packet that MQTT can express. */
export const maxPacketBytes = packetBytes(maxVariableByteInteger)
