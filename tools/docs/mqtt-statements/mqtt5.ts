import type { Statement } from './types.ts'

/** The statements of MQTT 5.0 (OASIS Standard, 7 March 2019), appendix B, in its order. */
export const mqtt5: readonly Statement[] = []
