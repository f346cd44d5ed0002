import { sameValue } from '../../core/config/diff.ts'
import { Bridge } from '../../mqtt/bridge/bridge.ts'
import type { BridgeParts, BridgeStatus } from '../../mqtt/bridge/bridge.ts'
import type { BridgeSettings } from '../../mqtt/bridge/settings.ts'
import type { FullJid, HostName, Localpart, Resourcepart } from '../../xmpp/jid/jid.ts'
import { makeJid, prepResource } from '../../xmpp/jid/jid.ts'

/** Whose messages those from other brokers are: an account, without its resource. */
export interface Owner {
  readonly user: Localpart | ''
  readonly host: HostName
}

/** The bridges of one host. */
export class Bridges {
  readonly #parts: Omit<BridgeParts, 'key' | 'publisher'>
  readonly #running = new Map<string, Bridge>()
  #owner: Owner

  constructor(parts: Omit<BridgeParts, 'key' | 'publisher'>, owner: Owner) {
    this.#parts = parts
    this.#owner = owner
  }

  get status(): readonly BridgeStatus[] {
    return [...this.#running.values()].map(({ status }) => status)
  }

  /** Makes the running bridges those that are wanted; whichever stays the same is left alone. */
  async apply(wanted: readonly BridgeSettings[], owner: Owner = this.#owner): Promise<void> {
    const isSameOwner = sameValue(owner, this.#owner)
    this.#owner = owner
    for (const [name, bridge] of this.#running) {
      const settings = wanted.find((settings) => settings.name === name)
      const stays = isSameOwner && settings !== undefined && sameValue(settings, bridge.settings)
      if (stays) continue
      this.#running.delete(name)
      await bridge.stop()
    }
    for (const settings of wanted) {
      const { name } = settings
      if (this.#running.has(name)) continue
      const bridge = await Bridge.start({ ...this.#parts, ...this.#identity(name) }, settings)
      this.#running.set(name, bridge)
    }
  }

  tick(): void {
    for (const bridge of this.#running.values()) bridge.tick()
  }

  async stop(): Promise<void> {
    await this.apply([])
  }

  #identity(name: string): { key: FullJid; publisher: FullJid } {
    const resource = bridgeResource(name)
    const { user, host } = this.#owner
    return {
      // No client can have a session of the host itself.
      key: makeJid('', this.#parts.broker.host, resource),
      publisher: makeJid(user, host, resource),
    }
  }
}

function bridgeResource(name: string): Resourcepart {
  const resource = prepResource(`bridge/${name}`)
  if (!resource.ok) throw new Error(`"${name}" cannot be the name of a bridge`)
  return resource.value
}
