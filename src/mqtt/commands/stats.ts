import { defineCommand } from '../../core/command.ts'
import type { Broker } from '../broker.ts'
import { brokerOf, host } from './arguments.ts'

export const mqttStats = defineCommand({
  name: 'mqtt_stats',
  tags: ['mqtt', 'statistics'],
  summary: 'Get the counters of the MQTT broker of a host, since it was started',
  args: [host],
  result: {
    name: 'stats',
    type: {
      list: {
        name: 'stat',
        type: {
          tuple: [
            { name: 'name', type: 'string' },
            { name: 'value', type: 'integer' },
          ],
        },
      },
    },
  },
  run: ([hostName], context) => [...statsOf(brokerOf(hostName, context))],
})

function* statsOf(broker: Broker): Generator<readonly [name: string, value: number]> {
  const { ledger, metrics, retained, sessions, tree } = broker
  yield ['connections', sessions.connected]
  yield ['sessions', sessions.size]
  yield ['subscriptions', tree.size]
  yield ['shared_subscriptions', tree.sharedSize]
  yield ['retained', retained.size]
  yield ['retained_bytes', retained.bytes]
  yield ['queued', ledger.queued]
  yield ['inflight', ledger.inflight]
  yield ['pending_bytes', ledger.bytes]
  for (const [way, counters] of [
    ['received', metrics.received],
    ['sent', metrics.sent],
  ] as const) {
    for (const [qos, { value }] of counters.entries()) yield [`messages_${way}_qos${qos}`, value]
  }
  yield ['packets_received', metrics.packetsIn]
  yield ['packets_sent', metrics.packetsOut]
  yield ['bytes_received', metrics.bytesIn.value]
  yield ['bytes_sent', metrics.bytesOut]
  yield ['connects', metrics.connects.value]
  yield ['connects_refused', metrics.refused.value]
  yield ['sessions_expired', metrics.expiredSessions.value]
  for (const [reason, { value }] of Object.entries(metrics.dropped)) {
    yield [`dropped_${reason}`, value]
  }
}
