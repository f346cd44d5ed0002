/** Codes that this server gives as reasons of a close (RFC 6455 §7.4.1). */
export const closeCodes = {
  normal: 1000,
  goingAway: 1001,
  protocolError: 1002,
  unsupportedData: 1003,
  invalidData: 1007,
  policyViolation: 1008,
  tooBig: 1009,
  internalError: 1011,
  tryAgainLater: 1013,
} as const

export type CloseCode = (typeof closeCodes)[keyof typeof closeCodes]

/** Whether a peer may give it: those of the protocol that are meant to be sent, libraries' and private ones (RFC 6455 §7.4). */
export function isSendableCode(code: number): boolean {
  if (code >= 1000 && code <= 1014) return code !== 1004 && code !== 1005 && code !== 1006
  return code >= 3000 && code <= 4999
}
