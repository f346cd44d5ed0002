import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { FieldServer } from '../../support/field-server.ts'
import { JsClient, levels } from '../../support/mqtt-js.ts'

/** How MQTT Explorer connects: mqtt.js, all topics and `$SYS`, in a SUBSCRIBE each, nothing subscribed to again by mqtt.js. */
function explore(
  server: FieldServer,
  options: { way: 'mqtt' | 'wss'; protocolVersion: 4 | 5; user: string },
): Promise<JsClient> {
  return JsClient.connect(server, {
    ...options,
    clientId: 'mqtt-explorer-1a2b3c4d',
    resubscribe: false,
  })
}

/** Who may see `$SYS`: those who may configure the server. */
const administrator = {
  acl: { admin: { user: ['nurse'] } },
  access_rules: { configure: { allow: 'admin' } },
}

for (const way of ['mqtt', 'wss'] as const) {
  for (const protocolVersion of levels) {
    suite(`MQTT Explorer over ${way}, level ${protocolVersion}`, () => {
      test('shows every topic, also to those who may not see $SYS', async () => {
        await using server = await FieldServer.start({ config: administrator })
        await using device = await JsClient.connect(server, { clientId: 'device' })
        const kept = { qos: 1, retain: true } as const
        for (const topic of ['home/hall', '/odd//levels/', 'ключ/鍵']) {
          await device.client.publishAsync(topic, topic, kept)
        }
        await using explorer = await explore(server, { way, protocolVersion, user: 'juliet' })
        const all = explorer.client.subscribeAsync('#', { qos: 0 })
        // MQTT Explorer shows why, and goes on.
        const denied = assert.rejects(explorer.client.subscribeAsync('$SYS/#', { qos: 0 }))
        await Promise.all([all, denied])
        assert.deepEqual((await explorer.inbox.take(3)).sort(), [
          '/odd//levels/=/odd//levels/ 0r',
          'home/hall=home/hall 0r',
          'ключ/鍵=ключ/鍵 0r',
        ])
        await device.client.publishAsync('home/hall', 'live', { qos: 2 })
        assert.deepEqual(await explorer.inbox.take(1), ['home/hall=live 0'])
        // "Delete topic": an empty retained message, which is shown, too.
        await explorer.client.publishAsync('home/hall', '', { qos: 0, retain: true })
        assert.deepEqual(await explorer.inbox.take(1), ['home/hall= 0'])
        await device.client.subscribeAsync('home/#')
        await device.client.publishAsync('home/end', '')
        assert.deepEqual(await device.inbox.take(1), ['home/end= 0'])
      })

      test('shows $SYS to administrators', async () => {
        await using server = await FieldServer.start({ config: administrator })
        await using explorer = await explore(server, { way, protocolVersion, user: 'nurse' })
        await explorer.client.subscribeAsync('#', { qos: 0 })
        await explorer.client.subscribeAsync('$SYS/#', { qos: 0 })
        const names = (await explorer.inbox.take(10)).map((line) =>
          line.slice(0, line.indexOf('=')),
        )
        assert.ok(names.every((name) => name.startsWith('$SYS/broker/')))
      })
    })
  }
}
