import type { Statement } from './types.ts'

/** The statements of MQTT 3.1.1 (OASIS Standard, 29 October 2014), appendix B, in its order. */
export const mqtt3: readonly Statement[] = []
