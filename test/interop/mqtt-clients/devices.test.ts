import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { FieldServer } from '../../support/field-server.ts'
import { JsClient, levels } from '../../support/mqtt-js.ts'

const kept = { qos: 1, retain: true } as const

for (const protocolVersion of levels) {
  suite(`Zigbee2MQTT, level ${protocolVersion}`, () => {
    /** Subscribes to everything below its base topic, that is to all that it publishes itself. */
    const start = (server: FieldServer): Promise<JsClient> =>
      JsClient.connect(server, {
        clientId: 'mqttjs_zigbee2mqtt',
        protocolVersion,
        keepalive: 60,
        will: {
          topic: 'zigbee2mqtt/bridge/state',
          payload: Buffer.from('{"state":"offline"}'),
          ...kept,
        },
        ...(protocolVersion === 5 && { properties: { maximumPacketSize: 1_048_576 } }),
      })

    test('announces itself and large lists, hears them, and answers requests', async () => {
      await using server = await FieldServer.start()
      await using bridge = await start(server)
      const { client, inbox } = bridge
      await client.publishAsync('zigbee2mqtt/bridge/state', '{"state":"online"}', { retain: true })
      await client.subscribeAsync('zigbee2mqtt/#')
      assert.deepEqual(await inbox.take(1), ['zigbee2mqtt/bridge/state={"state":"online"} 0r'])
      // A list of all devices: of a large house, half a megabyte.
      const devices = JSON.stringify(
        Array.from({ length: 400 }, (_, i) => ({ id: `0x${i}`, exposes: 'x'.repeat(1200) })),
      )
      await client.publishAsync('zigbee2mqtt/bridge/devices', devices, { retain: true })
      assert.deepEqual(await inbox.take(1), [`zigbee2mqtt/bridge/devices=${devices} 0`])
      // One that is larger than it takes does not come back to it, and does no harm.
      const log = 'x'.repeat(1_100_000)
      await client.publishAsync('zigbee2mqtt/bridge/log', log, { qos: 0 })
      if (protocolVersion < 5)
        assert.deepEqual(await inbox.take(1), [`zigbee2mqtt/bridge/log=${log} 0`])
      await using frontend = await JsClient.connect(server, { clientId: 'frontend' })
      await frontend.client.subscribeAsync('zigbee2mqtt/bridge/response/#')
      const request = '{"id":"0x1","transaction":"t1"}'
      await frontend.client.publishAsync('zigbee2mqtt/bridge/request/device/rename', request)
      assert.deepEqual(await inbox.take(1), [
        `zigbee2mqtt/bridge/request/device/rename=${request} 0`,
      ])
      const topic = 'zigbee2mqtt/bridge/response/device/rename'
      await client.publishAsync(topic, '{"status":"ok","transaction":"t1"}')
      assert.deepEqual(await frontend.inbox.take(1), [
        `${topic}={"status":"ok","transaction":"t1"} 0`,
      ])
    })

    test('is shown to be away when it died, and when it left', async () => {
      await using server = await FieldServer.start()
      await using watcher = await JsClient.connect(server, { clientId: 'watcher' })
      await watcher.client.subscribeAsync('zigbee2mqtt/bridge/state', { qos: 1 })
      for (const how of ['died', 'left'] as const) {
        await using bridge = await start(server)
        const say = (state: string): Promise<unknown> =>
          bridge.client.publishAsync('zigbee2mqtt/bridge/state', `{"state":"${state}"}`, {
            retain: true,
          })
        await say('online')
        assert.deepEqual(await watcher.inbox.take(1), [
          'zigbee2mqtt/bridge/state={"state":"online"} 0',
        ])
        if (how === 'died') bridge.drop()
        else {
          await say('offline')
          await bridge.end()
        }
        assert.deepEqual(await watcher.inbox.take(1), [
          `zigbee2mqtt/bridge/state={"state":"offline"} ${how === 'died' ? 1 : 0}`,
        ])
      }
    })
  })
}

suite('Tasmota', () => {
  const start = (server: FieldServer): Promise<JsClient> =>
    JsClient.connect(server, {
      clientId: 'DVES_A1B2C3',
      protocolVersion: 4,
      keepalive: 30,
      will: { topic: 'tele/tasmota_A1B2C3/LWT', payload: Buffer.from('Offline'), ...kept },
    })

  /** What it does as soon as it is connected. */
  async function begin({ client }: JsClient): Promise<void> {
    await client.publishAsync('tele/tasmota_A1B2C3/LWT', 'Online', { retain: true })
    // An empty command, so that one that was retained does nothing.
    await client.publishAsync('cmnd/tasmota_A1B2C3/POWER', '')
    for (const filter of [
      'cmnd/tasmota_A1B2C3/#',
      'cmnd/tasmotas/#',
      'cmnd/DVES_A1B2C3_fb/#',
      'tasmota/discovery/+/#',
    ]) {
      await client.subscribeAsync(filter, { qos: 0 })
    }
  }

  test('takes commands for itself, its group and its address', async () => {
    await using server = await FieldServer.start()
    await using app = await JsClient.connect(server, { clientId: 'app', user: 'romeo' })
    await app.client.subscribeAsync(['tele/#', 'stat/#'], { qos: 1 })
    await using plug = await start(server)
    await begin(plug)
    assert.deepEqual(await app.inbox.take(1), ['tele/tasmota_A1B2C3/LWT=Online 0'])
    for (const topic of ['tasmota_A1B2C3', 'tasmotas', 'DVES_A1B2C3_fb']) {
      await app.client.publishAsync(`cmnd/${topic}/POWER`, 'TOGGLE', { qos: 1 })
      assert.deepEqual(await plug.inbox.take(1), [`cmnd/${topic}/POWER=TOGGLE 0`])
      await plug.client.publishAsync('stat/tasmota_A1B2C3/RESULT', '{"POWER":"ON"}')
      await plug.client.publishAsync('stat/tasmota_A1B2C3/POWER', 'ON', { retain: true })
      assert.deepEqual(await app.inbox.take(2), [
        'stat/tasmota_A1B2C3/RESULT={"POWER":"ON"} 0',
        'stat/tasmota_A1B2C3/POWER=ON 0',
      ])
    }
    plug.drop()
    assert.deepEqual(await app.inbox.take(1), ['tele/tasmota_A1B2C3/LWT=Offline 1'])
  })

  test('is online when it is back before its old connection was missed', async () => {
    await using server = await FieldServer.start()
    await using old = await start(server)
    await begin(old)
    // Its network was away: the old connection is still open here.
    await using plug = await start(server)
    await begin(plug)
    await using app = await JsClient.connect(server, { clientId: 'app' })
    await app.client.subscribeAsync('tele/+/LWT')
    assert.deepEqual(await app.inbox.take(1), ['tele/tasmota_A1B2C3/LWT=Online 0r'])
  })
})

suite('ESPHome', () => {
  test('keeps its session, and says by itself that it goes', async () => {
    await using server = await FieldServer.start()
    const start = (): Promise<JsClient> =>
      JsClient.connect(server, {
        clientId: 'livingroom-a0b1c2d3e4f5',
        protocolVersion: 4,
        keepalive: 15,
        clean: false,
        will: { topic: 'livingroom/status', payload: Buffer.from('offline'), ...kept, qos: 0 },
      })
    const command = 'livingroom/switch/relay/command'
    const name = (component: string): string =>
      `homeassistant/${component}/livingroom/${'a_rather_long_name_'.repeat(5)}/config`
    {
      await using node = await start()
      await node.client.publishAsync('livingroom/status', 'online', { retain: true })
      await node.client.subscribeAsync(command, { qos: 0 })
      for (const component of ['switch', 'sensor', 'binary_sensor']) {
        await node.client.publishAsync(name(component), '{}', { retain: true })
      }
      await node.client.publishAsync('livingroom/debug', '[C][app:029]: Running', { retain: true })
      await node.client.publishAsync('livingroom/status', 'offline', { retain: true })
      await node.end()
    }
    await using app = await JsClient.connect(server, { clientId: 'app' })
    await app.client.subscribeAsync('homeassistant/+/+/+/config')
    const found = (await app.inbox.take(3)).sort()
    assert.deepEqual(
      found,
      ['binary_sensor', 'sensor', 'switch'].map((each) => `${name(each)}={} 0r`),
    )
    await app.client.subscribeAsync('livingroom/status')
    assert.deepEqual(await app.inbox.take(1), ['livingroom/status=offline 0r'])
    // Its subscription lasts: it need not subscribe again.
    await using back = await start()
    await app.client.publishAsync(command, 'ON', { qos: 1 })
    assert.deepEqual(await back.inbox.take(1), [`${command}=ON 0`])
  })
})
