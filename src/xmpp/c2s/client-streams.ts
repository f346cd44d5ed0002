import type { BareJid, HostName } from '../jid/jid.ts'
import type { StreamCondition } from '../stream/stream-error.ts'
import type { ClientStream } from './client-stream.ts'

/** Every client's stream of this node, those that negotiate included. */
export class ClientStreams {
  readonly #streams = new Set<ClientStream>()

  get count(): number {
    return this.#streams.size
  }

  add(stream: ClientStream): void {
    this.#streams.add(stream)
  }

  delete(stream: ClientStream): void {
    this.#streams.delete(stream)
  }

  /** Those that have signed in as this account and have no session yet, which is where everybody else finds them. */
  endSignIns(account: BareJid, condition: StreamCondition, text: string): void {
    for (const stream of [...this.#streams]) {
      if (stream.phase === 'authenticated' && stream.account === account) {
        stream.close(condition, text)
      }
    }
  }

  /** All, or those of a host that is no longer served. */
  closeAll(condition: StreamCondition, text?: string, host?: HostName): void {
    for (const stream of [...this.#streams]) {
      if (host === undefined || stream.host === host) stream.close(condition, text)
    }
  }
}
