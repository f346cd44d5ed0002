import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { makeCertificate } from '../../src/core/net/test-support.ts'
import { BridgeSite } from '../support/bridge-site.ts'
import { Cable } from '../support/cable.ts'
import { FieldServer } from '../support/field-server.ts'
import { MqttClient } from '../support/mqtt-client.ts'
import { MosquittoBroker, noMosquittoBroker } from '../support/mosquitto-broker.ts'
import { Folder } from '../support/process.ts'

const skip = noMosquittoBroker

async function next(client: MqttClient): Promise<string> {
  const { topic, text, qos, retain } = await client.receiveMessage()
  return `${topic}=${text} ${qos}${retain ? 'r' : ''}`
}

/** A client of a mosquitto that lets everybody in. */
async function clientOf(port: number, filter?: string): Promise<MqttClient> {
  const client = await MqttClient.connect(port)
  await client.login({
    userName: undefined,
    password: undefined,
    clientId: `test-${Math.random()}`,
  })
  if (filter !== undefined) await client.subscribe(filter, { retainAsPublished: true })
  return client
}

/** A client of Linnet. */
async function romeo(hub: FieldServer, filter?: string): Promise<MqttClient> {
  const client = await MqttClient.connect(hub.port('mqtt'))
  await client.login({ userName: 'romeo', clientId: `romeo-${Math.random()}` })
  if (filter !== undefined) await client.subscribe(filter, { retainAsPublished: true })
  return client
}

/** mosquitto's configuration of a bridge to Linnet. */
function bridgeTo(address: string, ...more: readonly string[]): readonly string[] {
  return [
    'allow_anonymous true',
    'connection hub',
    `address ${address}`,
    'remote_username juliet@localhost',
    'remote_password secret',
    'remote_clientid site',
    'cleansession false',
    'restart_timeout 1',
    ...more,
  ]
}

const topics = [
  'topic home/sensors/# out 1',
  'topic home/state/# both 1',
  'topic home/commands/# in 1',
]

/** Messages both ways, each as its rule says, and none of them twice. */
async function talk(here: MqttClient, there: MqttClient): Promise<void> {
  await here.publish('home/sensors/1', 'out', { qos: 1 })
  assert.equal(await next(there), 'home/sensors/1=out 1')
  await there.publish('home/commands/1', 'in', { qos: 1 })
  assert.equal(await next(here), 'home/sensors/1=out 1')
  assert.equal(await next(here), 'home/commands/1=in 1')
  assert.equal(await next(there), 'home/commands/1=in 1')
  // Not the ways that the rules do not name.
  await there.publish('home/sensors/2', 'no', { qos: 1 })
  await here.publish('home/commands/2', 'no', { qos: 1 })
  assert.equal(await next(there), 'home/sensors/2=no 1')
  assert.equal(await next(here), 'home/commands/2=no 1')
  await here.publish('home/state/1', 'on', { qos: 1, retain: true })
  await there.publish('home/state/2', 'off', { qos: 1, retain: true })
  for (const client of [here, there]) {
    const both = [await next(client), await next(client)].sort()
    assert.deepEqual(both, ['home/state/1=on 1r', 'home/state/2=off 1r'])
  }
  // Behind which an echo would be.
  await here.publish('home/state/3', '', { qos: 1 })
  assert.equal(await next(there), 'home/state/3= 1')
  await there.publish('home/state/4', '', { qos: 1 })
  assert.equal(await next(here), 'home/state/3= 1')
  assert.equal(await next(here), 'home/state/4= 1')
  assert.equal(await next(there), 'home/state/4= 1')
  await here.hearsNothing()
  await there.hearsNothing()
}

suite("mosquitto's own bridge to Linnet", { skip }, () => {
  for (const version of ['mqttv31', 'mqttv311', 'mqttv50']) {
    test(`hands on both ways by ${version}`, async () => {
      await using hub = await FieldServer.start()
      await using site = await MosquittoBroker.start({
        config: bridgeTo(
          `127.0.0.1:${hub.port('mqtt')}`,
          `bridge_protocol_version ${version}`,
          ...topics,
        ),
      })
      await site.says(/Received SUBACK from local\.site[^]*Received SUBACK from local\.site/)
      await using there = await romeo(hub, '#')
      await using here = await clientOf(site.port, '#')
      await talk(here, there)
    })
  }

  test('works over TLS, and not with a certificate that it does not trust', async () => {
    await using hub = await FieldServer.start()
    const address = `localhost:${hub.port('mqtts')}`
    await using site = await MosquittoBroker.start({
      config: bridgeTo(address, `bridge_cafile ${hub.cafile}`, ...topics),
    })
    await site.says(/Received SUBACK from local\.site[^]*Received SUBACK from local\.site/)
    await using there = await romeo(hub, '#')
    await using here = await clientOf(site.port, '#')
    await talk(here, there)
    const stranger = makeCertificate({ name: 'Another', isAuthority: true }).certificate
    await using other = await MosquittoBroker.start({
      config: bridgeTo(address, 'bridge_cafile {dir}/other.pem', ...topics),
      files: { 'other.pem': stranger },
    })
    await other.says(/certificate verify failed/i)
  })

  test('tells its state where administrators of Linnet see it', async () => {
    await using hub = await FieldServer.start({
      mqtt: { access_sys: 'all' },
    })
    await using there = await romeo(hub, '$SYS/broker/connection/+/state')
    await using cable = await Cable.lay(hub.port('mqtt'))
    await using _site = await MosquittoBroker.start({
      config: bridgeTo(`127.0.0.1:${cable.port}`, ...topics),
    })
    assert.equal(await next(there), '$SYS/broker/connection/site/state=1 1r')
    await using late = await romeo(hub, '$SYS/broker/connection/+/state')
    assert.equal(await next(late), '$SYS/broker/connection/site/state=1 1r')
    cable.cut()
    // Its will.
    assert.equal(await next(there), '$SYS/broker/connection/site/state=0 1r')
  })

  test('loses nothing when its connection breaks', async () => {
    await using hub = await FieldServer.start()
    await using cable = await Cable.lay(hub.port('mqtt'))
    await using site = await MosquittoBroker.start({
      config: bridgeTo(`127.0.0.1:${cable.port}`, ...topics),
    })
    await site.says(/Received SUBACK from local\.site[^]*Received SUBACK from local\.site/)
    await using there = await romeo(hub, 'home/sensors/#')
    await using here = await clientOf(site.port, 'home/commands/#')
    await using near = await clientOf(site.port)
    await using far = await romeo(hub)
    const count = 200
    const publish = async (client: MqttClient, topic: string): Promise<void> => {
      for (let i = 0; i < count; i++) {
        await client.publish(topic, `${i}`, { qos: 1 })
        if (i % 50 === 25) cable.cut()
        if (i % 50 === 35) cable.mend()
      }
    }
    const collect = async (client: MqttClient): Promise<number> => {
      const seen = new Set<string>()
      while (seen.size < count) seen.add((await client.receiveMessage()).text)
      return seen.size
    }
    const work = [publish(near, 'home/sensors/x'), publish(far, 'home/commands/x')]
    await Promise.all([...work, collect(there), collect(here)])
    assert.ok(cable.connections > 1)
  })
})

type Values = Readonly<Record<string, unknown>>

async function bridged(url: string, options: Values): Promise<BridgeSite> {
  const rules = ['home/sensors/# out 1', 'home/state/# both 1', 'home/commands/# in 1']
  const site = await BridgeSite.start({ servers: { [url]: { topics: rules, ...options } } })
  await site.up()
  return site
}

suite("Linnet's bridge to mosquitto", { skip }, () => {
  for (const scheme of ['mqtt', 'mqtt5']) {
    // shows: module mod_mqtt_bridge
    test(`hands on both ways by ${scheme}`, async () => {
      await using hub = await MosquittoBroker.start()
      await using site = await bridged(`${scheme}://127.0.0.1:${hub.port}`, {})
      await using there = await clientOf(hub.port, '#')
      await talk(await site.listener('home/#'), there)
    })

    test(`keeps what mosquitto does not take while it is away (${scheme})`, async () => {
      await using hub = await MosquittoBroker.start()
      await using site = await bridged(`${scheme}://127.0.0.1:${hub.port}`, {})
      await hub.stop()
      await site.down()
      const here = await site.client()
      for (let i = 0; i < 50; i++) await here.publish('home/sensors/x', `${i}`, { qos: 1 })
      assert.equal(site.status[0]?.queued, 50)
      await hub.run()
      await using there = await clientOf(hub.port, 'home/sensors/#')
      for (let i = 0; i < 50; i++) assert.equal(await next(there), `home/sensors/x=${i} 1`)
    })

    test(`gets what mosquitto kept for it (${scheme})`, async () => {
      await using hub = await MosquittoBroker.start()
      await using cable = await Cable.lay(hub.port)
      await using site = await bridged(`${scheme}://127.0.0.1:${cable.port}`, {})
      const here = await site.listener('home/commands/#')
      cable.cut()
      await site.down()
      await using there = await clientOf(hub.port)
      for (let i = 0; i < 50; i++) await there.publish('home/commands/x', `${i}`, { qos: 1 })
      cable.mend()
      for (let i = 0; i < 50; i++) assert.equal(await next(here), `home/commands/x=${i} 1`)
    })
  }

  test('tells its state on a topic of mosquitto', async () => {
    await using hub = await MosquittoBroker.start()
    await using there = await clientOf(hub.port, '$SYS/broker/connection/linnet/state')
    await using cable = await Cable.lay(hub.port)
    await using _site = await bridged(`mqtt://127.0.0.1:${cable.port}`, {
      status_topic: '$SYS/broker/connection/linnet/state',
    })
    assert.match(await next(there), /=1 0r$/)
    cable.cut()
    assert.match(await next(there), /=0 1r$/)
  })

  for (const scheme of ['mqtts', 'mqtt5s']) {
    test(`shows its certificate, and checks mosquitto's (${scheme})`, async () => {
      using folder = new Folder()
      const authority = makeCertificate({ name: 'Authority', isAuthority: true })
      const server = makeCertificate({ name: 'localhost', dns: ['localhost'], issuer: authority })
      const client = makeCertificate({ name: 'site', issuer: authority })
      await using hub = await MosquittoBroker.start({
        folder,
        config: [
          'cafile {dir}/ca.pem',
          'certfile {dir}/server.pem',
          'keyfile {dir}/server.key',
          'require_certificate true',
          'use_identity_as_username true',
        ],
        files: {
          'ca.pem': authority.certificate,
          'server.pem': server.certificate,
          'server.key': server.key,
          'site.pem': client.pem,
          'other.pem': makeCertificate({ name: 'Another', isAuthority: true }).certificate,
        },
      })
      const url = `${scheme}://localhost:${hub.port}`
      const authentication = { certfile: folder.join('site.pem') }
      await using site = await bridged(url, { authentication, cafile: folder.join('ca.pem') })
      await hub.says(/New (?:client|bridge) connected .* \([^)]*u'site'/)
      const topicsOut = await site.client()
      await topicsOut.publish('home/sensors/x', 'seen', { qos: 1 })
      await hub.says(/Received PUBLISH from linnet-\w+ .*home\/sensors\/x/)

      const rows: readonly [options: Values, problem: RegExp][] = [
        [{ authentication, cafile: folder.join('other.pem') }, /certificate/],
        [{ authentication }, /certificate/],
        [{ cafile: folder.join('ca.pem') }, /./],
        [
          { authentication, cafile: folder.join('ca.pem'), tls_server_name: 'elsewhere.example' },
          /altnames|elsewhere/,
        ],
      ]
      for (const [options, problem] of rows) {
        await using other = await BridgeSite.start({
          servers: { [url]: { topics: ['a out'], ...options } },
        })
        while (other.status[0]?.state !== 'waiting') await new Promise(setImmediate)
        assert.match(other.status[0]?.problem, problem)
      }
      // Whoever says so does without.
      await using trusting = await BridgeSite.start({
        servers: { [url]: { topics: ['a out'], authentication, tls_verify: false } },
      })
      await trusting.up()
    })
  }
})
