import { defineCommand } from '../../core/command.ts'
import type { CommandValue } from '../../core/command.ts'
import { hosts } from '../../core/shared.ts'
import type { BridgeStatus } from '../../mqtt/bridge/bridge.ts'
import type { Bridges } from './bridges.ts'

/** One row for each bridge of each host. */
export const mqttBridgeStatus = defineCommand({
  name: 'mqtt_bridge_status',
  tags: ['mqtt'],
  summary: 'List the bridges to other MQTT brokers, and how they are',
  result: {
    name: 'bridges',
    type: {
      list: {
        name: 'bridge',
        type: {
          tuple: [
            { name: 'host', type: 'string' },
            { name: 'name', type: 'string' },
            { name: 'url', type: 'string' },
            { name: 'state', type: 'string' },
            { name: 'since', type: 'string' },
            { name: 'queued', type: 'integer' },
            { name: 'inflight', type: 'integer' },
            { name: 'sent', type: 'integer' },
            { name: 'received', type: 'integer' },
            { name: 'dropped', type: 'integer' },
            { name: 'failures', type: 'integer' },
            { name: 'problem', type: 'string' },
          ],
        },
      },
    },
  },
  run: (_args, context) => {
    const all = context.service(hosts)
    return all.names.flatMap((host) => {
      const bridges = all.find(host)?.modules.find<Bridges>('mod_mqtt_bridge')
      return (bridges?.status ?? []).map((status) => rowOf(host, status))
    })
  },
})

function rowOf(host: string, status: BridgeStatus): CommandValue {
  const { name, url, state, sinceMs, queued, inflight, sent, received, dropped } = status
  const since = new Date(sinceMs).toISOString()
  const counts = [queued, inflight, sent, received, dropped, status.failures]
  return [host, name, url, state, since, ...counts, status.problem]
}
