/**
 * Whom a statement binds. `server`: this broker. `both`: whoever sends or receives, so this broker too. `choice`: a server
 * that left something out (QoS 2, retained messages, ...): a test shows what this one does instead. `client` and `network`:
 * not this broker; where it checks its peer all the same, `where` says so.
 */
export type Duty = 'server' | 'both' | 'choice' | 'client' | 'network'

/**
 * A numbered normative statement of a specification. A test that shows it has, directly above it, the comment
 * `// shows: MQTT5 3.1.2-4` (several numbers: `// shows: MQTT5 3.1.2-4, 3.1.2-5`).
 */
export interface Statement {
  /** Its number as the specification prints it between `[MQTT-` and `]`: `3.1.2-4`. */
  readonly id: string
  readonly duty: Duty
  /** One short sentence in our own words. */
  readonly rule: string
  /**
   * Where it is enforced: `src/mqtt/handle/connect.ts#handleConnect`, a file and something that is declared in it (or, where
   * nothing has a name, a text that stands in it). Required of `server` and `both`; what has a place needs a test.
   */
  readonly where?: readonly string[]
  /** Required where there is no place: why nothing enforces it, or what we chose. */
  readonly reason?: string
}
