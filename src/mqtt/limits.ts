import { globalScope, subjectOf } from '../core/access.ts'
import { integer, shaperRule } from '../core/options.ts'
import type { ValuesOf } from '../core/options.ts'
import type { ShaperRule } from '../core/options/rule-types.ts'
import type { Rate } from '../core/options/shaper-types.ts'
import type { Services } from '../core/service.ts'
import { metrics, shapers } from '../core/shared.ts'
import { TokenBucket } from '../core/shaper.ts'
import type { FullJid } from '../xmpp/jid/jid.ts'
import { domainpart } from '../xmpp/jid/jid.ts'

/** Options of listeners; WebSockets go by those of the first listener. */
export const limitOptions = {
  shaper: shaperRule('none', 'How many bytes a second are read from a client; it is slowed down.'),
  message_shaper: shaperRule(
    'none',
    'How many messages a second are taken from a client; it is slowed down. The numbers of the shaper count PUBLISH packets.',
  ),
  connection_shaper: shaperRule(
    'none',
    'How often a second an address may connect; what is more is refused. The numbers of the shaper count CONNECT packets.',
  ),
  max_connections: integer(
    { min: 1, orInfinity: true },
    'infinity',
    'Connections of the listener; what is more is refused.',
  ),
  max_connections_per_address: integer(
    { min: 1, orInfinity: true },
    'infinity',
    'Connections of one address; what is more is refused.',
  ),
}

export type LimitValues = ValuesOf<typeof limitOptions>

/** How fast may be read from a connection; undefined = as fast as it goes. */
export interface Rates {
  readonly bytes: Rate | undefined
  readonly messages: Rate | undefined
}

/** Why a connection is one too many. */
export type Surplus = 'max_connections' | 'max_connections_per_address'

/** Connections beyond the limits that may wait to be told so; more are closed at once. */
const maxSurplus = 1000
/** Addresses whose rate is remembered. */
const maxAddresses = 10_000

/** What a listener, or all WebSockets together, take at most. */
export class ListenerLimits {
  /** A reload puts others in their place. */
  values: LimitValues
  readonly #services: Services
  readonly #byAddress = new Map<string, number>()
  /** Least recently used first. */
  readonly #rates = new Map<string, TokenBucket>()
  #connections = 0
  #surplus = 0

  constructor(values: LimitValues, services: Services) {
    this.values = values
    this.#services = services
  }

  /** Counts a new connection: undefined if there is room for it. `closed` has to follow. */
  opened(ip: string): Surplus | 'close' | undefined {
    const { max_connections, max_connections_per_address } = this.values
    const ofAddress = this.#byAddress.get(ip) ?? 0
    let surplus: Surplus | undefined
    if (this.#connections >= max_connections) surplus = 'max_connections'
    // Sockets of the file system have no address.
    else if (ip !== '' && ofAddress >= max_connections_per_address) {
      surplus = 'max_connections_per_address'
    }
    if (surplus === undefined) {
      this.#connections += 1
      this.#byAddress.set(ip, ofAddress + 1)
      return undefined
    }
    this.#count(surplus)
    if (this.#surplus >= maxSurplus) return 'close'
    this.#surplus += 1
    return surplus
  }

  closed(ip: string, isSurplus: boolean): void {
    if (isSurplus) {
      this.#surplus -= 1
      return
    }
    this.#connections -= 1
    const ofAddress = (this.#byAddress.get(ip) ?? 1) - 1
    if (ofAddress > 0) this.#byAddress.set(ip, ofAddress)
    else this.#byAddress.delete(ip)
  }

  /** Whether an address may connect once more just now. */
  mayConnect(ip: string, nowMs: number): boolean {
    const rule = this.values.connection_shaper
    if (rule.kind === 'none' || ip === '') return true
    const rate = this.#services.get(shapers).rate(rule, { ip }, globalScope)
    if (rate === undefined) return true
    const bucket = this.#rates.get(ip) ?? new TokenBucket(rate, nowMs)
    this.#rates.delete(ip)
    this.#rates.set(ip, bucket)
    if (this.#rates.size > maxAddresses) {
      const [oldest = ''] = this.#rates.keys()
      this.#rates.delete(oldest)
    }
    if (bucket.take(1, nowMs) === 0) return true
    // Who is refused is not punished for having tried.
    bucket.take(-1, nowMs)
    this.#count('connection_shaper')
    return false
  }

  /** How fast may be read from somebody who is not known yet. */
  ratesOfAddress(ip: string): Rates {
    return this.#evaluate((rule) => this.#services.get(shapers).rate(rule, { ip }, globalScope))
  }

  ratesOf(jid: FullJid, ip: string): Rates {
    const subject = subjectOf(jid, ip === '' ? undefined : ip)
    return this.#evaluate((rule) =>
      this.#services.get(shapers).rate(rule, subject, domainpart(jid)),
    )
  }

  #evaluate(rateOf: (rule: ShaperRule) => Rate | undefined): Rates {
    const { shaper, message_shaper } = this.values
    return {
      bytes: shaper.kind === 'none' ? undefined : rateOf(shaper),
      messages: message_shaper.kind === 'none' ? undefined : rateOf(message_shaper),
    }
  }

  #count(limit: Surplus | 'connection_shaper'): void {
    this.#services
      .get(metrics)
      .counter(
        'linnet_mqtt_connections_limited_total',
        'Connections refused because of a limit of the listener.',
        { limit },
      )
      .add()
  }
}
