import { failure } from './mechanism.ts'
import type { Mechanism, SaslContext, SaslStep } from './mechanism.ts'
import { decodeUtf8 } from './utf8.ts'

/** RFC 4505 §2: characters of the trace information that a client may send. */
const maxTraceLength = 255

/** ANONYMOUS (RFC 4505): a guest with a name that the server makes up. */
export class Anonymous implements Mechanism {
  readonly #context: SaslContext

  constructor(context: SaslContext) {
    this.#context = context
  }

  async start(initialResponse: Uint8Array | undefined): Promise<SaslStep> {
    if (initialResponse === undefined) return { kind: 'challenge', data: new Uint8Array() }
    return this.next(initialResponse)
  }

  async next(response: Uint8Array): Promise<SaslStep> {
    const trace = decodeUtf8(response)
    if (trace === undefined || Array.from(trace).length > maxTraceLength) {
      return failure('malformed-request')
    }
    const account = this.#context.signIns.admitGuest(this.#context.host)
    if (account === undefined) return failure('temporary-auth-failure')
    return { kind: 'success', account, data: undefined, isGuest: true }
  }
}
