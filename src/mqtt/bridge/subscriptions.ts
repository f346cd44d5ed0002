import type { RetainHandling, Subscription } from '../packet/packet.ts'
import type { ProtocolVersion, QoS } from '../packet/packet-type.ts'
import { sharePrefix } from '../packet/topic-syntax.ts'
import type { Subscribed } from './bridge-rows.ts'
import type { BridgeRule } from './rule.ts'

/** What has to be asked of the remote broker so that it sends what the rules want, and nothing else. */
export interface SubscriptionPlan {
  readonly subscribe: readonly Subscription[]
  readonly unsubscribe: readonly string[]
  /** What it will have been asked for. */
  readonly wanted: Readonly<Record<string, number>>
}

const noLocalBit = 4
const retainAsPublishedBit = 8

/** `before`: what it has been asked for and remembers; nothing if it does not. */
export function planSubscriptions(
  rules: readonly BridgeRule[],
  before: NonNullable<Subscribed>,
  version: ProtocolVersion,
): SubscriptionPlan {
  const wanted: Record<string, number> = {}
  for (const { direction, remote, qos } of rules) {
    if (direction === 'out') continue
    const known = (wanted[remote] ?? 0) & 3
    wanted[remote] = Math.max(known, qos) | flagsOf(remote, version)
  }
  const subscribe: Subscription[] = []
  for (const [filter, options] of Object.entries(wanted)) {
    // Asked again, a broker of MQTT 3.1.1 would send all that is retained again.
    if (before[filter] === options) continue
    subscribe.push({
      filter,
      qos: qosOf(options),
      noLocal: (options & noLocalBit) !== 0,
      retainAsPublished: (options & retainAsPublishedBit) !== 0,
      retainHandling: retainHandlingOf(filter in before),
    })
  }
  const unsubscribe = Object.keys(before).filter((filter) => !(filter in wanted))
  return { subscribe, unsubscribe, wanted }
}

/** Only options have changed: what is retained is there already (MQTT5 3.3.1-10). */
function retainHandlingOf(isKnown: boolean): RetainHandling {
  return isKnown ? 1 : 0
}

function flagsOf(filter: string, version: ProtocolVersion): number {
  if (version < 5) return 0
  // MQTT5 3.8.3-4: No Local on a shared subscription is a protocol error.
  return filter.startsWith(sharePrefix) ? retainAsPublishedBit : noLocalBit | retainAsPublishedBit
}

function qosOf(options: number): QoS {
  const qos = options & 3
  return qos === 2 ? 2 : qos === 1 ? 1 : 0
}
