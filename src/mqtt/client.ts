import type { ClientSession } from '../core/sessions.ts'
import type { FullJid } from '../xmpp/jid/jid.ts'
import type { Connection } from './connection.ts'
import type { Publisher } from './hooks.ts'
import { ReasonCode } from './packet/reason-code.ts'

/** A signed-in client as the rest of the server sees it. */
export class Client implements ClientSession, Publisher {
  readonly protocol = 'mqtt'
  readonly jid: FullJid
  readonly connectedAt: number
  readonly #connection: Connection

  constructor(connection: Connection, jid: FullJid, connectedAt: number) {
    this.#connection = connection
    this.jid = jid
    this.connectedAt = connectedAt
  }

  get connection(): string {
    switch (this.#connection.transport.kind) {
      case 'tcp':
        return 'mqtt'
      case 'tls':
        return 'mqtt_tls'
      case 'websocket':
        return 'mqtt_ws'
      case 'websocket-tls':
        return 'mqtt_wss'
    }
  }

  get ip(): string {
    return this.#connection.transport.peer.ip
  }

  get isBridge(): boolean {
    return this.#connection.isBridge
  }

  get port(): number {
    return this.#connection.transport.peer.port
  }

  kick(reason: string, cause: 'kicked' | 'account-removed' | 'replaced' | 'banned'): void {
    const code =
      cause === 'replaced' ? ReasonCode.sessionTakenOver : ReasonCode.administrativeAction
    const connection = this.#connection
    connection.fail(code, reason)
    // Nobody may come back to these.
    if (cause === 'account-removed' || cause === 'banned') {
      const { broker, session } = connection
      if (broker !== undefined && session !== undefined) broker.sessions.end(session)
    }
  }
}
