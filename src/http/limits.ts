/** What one connection may take up. Times in milliseconds. */
export interface HttpLimits {
  /** Of request line and headers together; more gets 431. */
  readonly headBytes: number
  readonly headers: number
  /** From the first byte of a request to the end of its headers; longer gets 408. */
  readonly headMs: number
  /** Without a request. */
  readonly idleMs: number
  /** For bodies that are read as a whole: how large, and how long it may take. */
  readonly bodyBytes: number
  readonly bodyMs: number
  /** For bodies that are streamed: how long nothing may come. */
  readonly bodyPauseMs: number
  /** How long the rest of a body that nobody wants is read, so that the peer gets to see the answer. */
  readonly lingerMs: number
  /** Requests that were sent without waiting for answers; more end the connection. */
  readonly pipelined: number
  /** How long an orderly close may take. */
  readonly graceMs: number
}

export const defaultLimits: HttpLimits = {
  headBytes: 16 * 1024,
  headers: 100,
  headMs: 30_000,
  idleMs: 300_000,
  bodyBytes: 20 * 1024 * 1024,
  bodyMs: 60_000,
  bodyPauseMs: 30_000,
  lingerMs: 5_000,
  pipelined: 64,
  graceMs: 10_000,
}
