import type { Broker } from './broker.ts'
import { Message } from './message.ts'
import type { RetainedCursor } from './retained-tree.ts'
import { RetainedTree } from './retained-tree.ts'
import { Matches } from './route.ts'
import { SysValues } from './sys-values.ts'
import { sysLevel, type TopicFilter, type TopicName } from './topic.ts'

/** Topics that others tell of: bridges. */
const maxTold = 10_000
/** Values are read anew for a subscriber when they are older than this. */
const freshMs = 1000

/**
 * The topics `$SYS/broker/…`: what a broker tells administrators about itself, under mosquitto's names. At each interval
 * subscribers get the values that have changed; a new subscriber gets all of them at once, as if they were retained. They are
 * worked out only while somebody is subscribed, and stored nowhere.
 */
export class SysTopics {
  readonly #broker: Broker
  readonly #values: SysValues
  readonly #tree = new RetainedTree<Message>()
  readonly #texts = new Map<TopicName, string>()
  /** Those whose values subscribers have not got yet. */
  readonly #changed = new Set<TopicName>()
  /** Topics whose values are not read but told. */
  readonly #told = new Set<TopicName>()
  #readAtMs = -Infinity
  #intervalAtMs: number

  constructor(broker: Broker, version: string) {
    this.#broker = broker
    this.#values = new SysValues(broker, version)
    this.#intervalAtMs = broker.clock.monotonic()
  }

  /** Whether a new subscriber gets anything. */
  get isOn(): boolean {
    return this.#broker.settings.sysIntervalSeconds > 0
  }

  /** Once a second. */
  tick(): void {
    const { settings, clock, tree } = this.#broker
    const now = clock.monotonic()
    const seconds = (now - this.#intervalAtMs) / 1000
    if (!this.isOn || seconds < settings.sysIntervalSeconds) return
    this.#intervalAtMs = now
    this.#values.updateLoads(seconds)
    if (!tree.hasLevel(sysLevel)) return
    this.#read()
    for (const topic of this.#changed) this.#publish(topic)
    this.#changed.clear()
  }

  /** For new subscribers: the values as they are now. */
  search(filter: TopicFilter): RetainedCursor<Message> {
    const isFresh = this.#broker.clock.monotonic() - this.#readAtMs < freshMs
    if (this.isOn && !isFresh) this.#read()
    return this.#tree.search(filter)
  }

  /**
   * Keeps what a bridge says of its state, until the server stops. False when there is too much of that.
   */
  keep(message: Message): boolean {
    const { topic } = message
    if (message.payloadLength === 0) {
      if (this.#told.delete(topic)) this.#tree.delete(topic)
      return true
    }
    if (!this.#told.has(topic) && this.#told.size >= maxTold) return false
    this.#told.add(topic)
    this.#tree.set(topic, message)
    return true
  }

  #read(): void {
    this.#readAtMs = this.#broker.clock.monotonic()
    for (const [name, text] of this.#values.read()) {
      // Made of names that we chose.
      const topic = `${sysLevel}/broker/${name}` as TopicName
      if (this.#texts.get(topic) === text) continue
      this.#texts.set(topic, text)
      this.#changed.add(topic)
      const payload = Buffer.from(text)
      const content = { topic, payload, qos: 0, retain: true, properties: {} } as const
      this.#tree.set(topic, Message.create(content, 0))
    }
  }

  #publish(topic: TopicName): void {
    const message = this.#tree.get(topic)
    const { targets, groups, internal } = this.#broker.matchesOf(topic)
    if (message === undefined) return
    const here = new Matches(topic)
    // For those who are away old figures are not kept: the next ones are there as soon as they are back.
    here.targets = targets.filter(({ session }) => session.connection?.isOpen === true)
    here.groups = groups
    here.internal = internal
    this.#broker.distribute(message, here, undefined)
  }
}
