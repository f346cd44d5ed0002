import { CompatClient } from './compat-client.ts'
import type { Actor } from './compat-transcript.ts'

/** Plays the clients of a transcript against the XMPP port of a server, and gives its commands to `run`. */
export class CompatActor implements Actor, AsyncDisposable {
  readonly #port: number
  readonly #run: Actor['command']
  readonly #clients = new Map<string, CompatClient>()

  constructor(port: number, run: Actor['command']) {
    this.#port = port
    this.#run = run
  }

  command(words: readonly string[]): Promise<{ exit: number; output: string }> {
    return this.#run(words)
  }

  async client(text: string): Promise<void> {
    const [, jid = '', verb = '', rest = ''] =
      /^(\S+) (signs in with|is refused with|signs out|sends|receives)(?: (.*))?$/.exec(text) ?? []
    if (verb === 'signs in with') {
      this.#clients.set(jid, await CompatClient.signIn(this.#port, jid, rest))
      return
    }
    if (verb === 'is refused with') {
      await this.#isRefused(jid, rest)
      return
    }
    const client = this.#clients.get(jid)
    if (client === undefined) throw new Error(`"${text}": nobody is signed in as that`)
    if (verb === 'sends') await client.sendAndWait(rest)
    else if (verb === 'receives') await client.receives(new RegExp(rest))
    else {
      await client[Symbol.asyncDispose]()
      this.#clients.delete(jid)
    }
  }

  async #isRefused(jid: string, password: string): Promise<void> {
    const client = await CompatClient.signIn(this.#port, jid, password).catch(() => undefined)
    if (client === undefined) return
    await client[Symbol.asyncDispose]()
    throw new Error(`"${jid}" was not refused`)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.#clients.values()) await client[Symbol.asyncDispose]()
  }
}
