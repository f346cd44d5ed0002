import type { Broker } from './broker.ts'
import { Load } from './sys-load.ts'

/**
 * What a broker tells about itself below `$SYS/broker/`, under mosquitto's names: numbers of the broker's own host, and the
 * memory of the process.
 */
export class SysValues {
  readonly #broker: Broker
  readonly #version: string
  readonly #startedMs: number
  readonly #loads: readonly (readonly [name: string, load: Load])[]
  #mostHeapBytes = 0

  constructor(broker: Broker, version: string) {
    const { clock, metrics } = broker
    this.#broker = broker
    this.#version = version
    this.#startedMs = clock.monotonic()
    // A socket belongs to no host before its CONNECT.
    const connects = (): number => metrics.connectPackets
    this.#loads = [
      ['messages/received', new Load(() => metrics.packetsIn)],
      ['messages/sent', new Load(() => metrics.packetsOut)],
      ['publish/received', new Load(() => metrics.messagesIn)],
      ['publish/sent', new Load(() => metrics.messagesOut)],
      ['publish/dropped', new Load(() => metrics.droppedTotal)],
      ['bytes/received', new Load(() => metrics.bytesIn.value)],
      ['bytes/sent', new Load(() => metrics.bytesOut)],
      ['sockets', new Load(connects)],
      ['connections', new Load(connects)],
    ]
  }

  /** At each interval, whether anybody asks or not: an average cannot be made up for later. */
  updateLoads(seconds: number): void {
    for (const [, load] of this.#loads) load.update(seconds)
  }

  /** Names below `$SYS/broker/`, and the values as they are now. */
  *read(): Generator<readonly [name: string, value: string], void, undefined> {
    yield ['version', `linnet version ${this.#version}`]
    for (const [name, count] of this.#counts()) yield [name, `${count}`]
    const uptime = Math.floor((this.#broker.clock.monotonic() - this.#startedMs) / 1000)
    yield ['uptime', `${uptime} seconds`]
    for (const [name, load] of this.#loads) {
      for (const [span, perMinute] of load.averages()) {
        yield [`load/${name}/${span}`, perMinute.toFixed(2)]
      }
    }
  }

  *#counts(): Generator<readonly [name: string, count: number], void, undefined> {
    const { ledger, metrics, retained, sessions, tree } = this.#broker
    const away = sessions.size - sessions.connected
    yield ['clients/total', sessions.size]
    yield ['clients/connected', sessions.connected]
    yield ['clients/active', sessions.connected]
    yield ['clients/disconnected', away]
    yield ['clients/inactive', away]
    yield ['clients/maximum', metrics.mostConnections]
    yield ['clients/expired', metrics.expiredSessions.value]
    yield ['messages/received', metrics.packetsIn]
    yield ['messages/sent', metrics.packetsOut]
    yield ['messages/inflight', ledger.inflight]
    yield ['publish/messages/received', metrics.messagesIn]
    yield ['publish/messages/sent', metrics.messagesOut]
    yield ['publish/messages/dropped', metrics.droppedTotal]
    yield ['publish/bytes/received', metrics.receivedBytes.value]
    yield ['publish/bytes/sent', metrics.sentBytes.value]
    yield ['bytes/received', metrics.bytesIn.value]
    yield ['bytes/sent', metrics.bytesOut]
    yield ['subscriptions/count', tree.size]
    yield ['shared_subscriptions/count', tree.sharedSize]
    yield ['retained messages/count', retained.size]
    const stored = retained.size + ledger.messages
    yield ['messages/stored', stored]
    yield ['store/messages/count', stored]
    yield ['store/messages/bytes', retained.bytes + ledger.bytes]
    const { heapUsed, external } = process.memoryUsage()
    const heapBytes = heapUsed + external
    this.#mostHeapBytes = Math.max(this.#mostHeapBytes, heapBytes)
    yield ['heap/current', heapBytes]
    yield ['heap/maximum', this.#mostHeapBytes]
  }
}
