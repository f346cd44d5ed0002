import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite, test } from 'node:test'
import { parse } from 'yaml'
import { makeCertificate } from '../../src/core/net/test-support.ts'
import { BridgeSite } from '../support/bridge-site.ts'
import { MosquittoBroker, noMosquittoBroker } from '../support/mosquitto-broker.ts'
import { MqttClient } from '../support/mqtt-client.ts'
import { Folder } from '../support/process.ts'

/* Runs the blocks of docs/guides/mqtt-bridge.md as they stand there, but for the addresses. */

const guide = readFileSync(join(import.meta.dirname, '../../docs/guides/mqtt-bridge.md'), 'utf8')

/** Blocks by the comment in their first line. */
const blocks = new Map(
  [...guide.matchAll(/^```(?:yaml|conf)\n# (.*)\n([^]*?)^```$/gm)].map(
    ([, name = '', text = '']) => [name, text],
  ),
)

const used = new Set<string>()

function block(name: string): string {
  used.add(name)
  return blocks.get(name) ?? assert.fail(`The guide has no block "${name}"`)
}

/** A site with a block of the guide under `modules:`. */
async function siteWith(
  name: string,
  changes: Readonly<Record<string, string>>,
): Promise<BridgeSite> {
  let text = block(name)
  for (const [from, to] of Object.entries(changes)) {
    assert.ok(text.includes(from), `${name}: no ${from}`)
    text = text.replaceAll(from, to)
  }
  const modules: unknown = { mod_mqtt: {}, ...parse(text) }
  const site = await BridgeSite.start({ config: { modules } })
  await site.up()
  return site
}

async function next(client: MqttClient): Promise<string> {
  const { topic, text, qos, retain } = await client.receiveMessage()
  return `${topic}=${text} ${qos}${retain ? 'r' : ''}`
}

suite('the guide to bridges', () => {
  test('connects a site with a hub', async () => {
    await using hub = await BridgeSite.start()
    await using site = await siteWith('bridge: site', {
      'hub.example:1883': `127.0.0.1:${hub.port}`,
    })
    const [there, here] = [await hub.listener(), await site.listener()]
    await here.publish('home/sensors/x', 'out', { qos: 1 })
    assert.equal(await next(there), 'home/sensors/x=out 1')
    await there.publish('home/commands/x', 'in', { qos: 2 })
    assert.equal(await next(here), 'home/sensors/x=out 1')
    assert.equal(await next(here), 'home/commands/x=in 1')
    assert.equal(site.status[0]?.name, 'hub')
    assert.match(await site.server.ok('mqtt_bridge_status'), /^localhost\thub\tmqtt5:.*\tup\t/m)
  })

  test('gives topics other names', async () => {
    await using hub = await BridgeSite.start()
    await using site = await siteWith('bridge: names', {
      'hub.example:1883': `127.0.0.1:${hub.port}`,
    })
    const [there, here] = [await hub.listener(), await site.listener()]
    await here.publish('home/kitchen/light', 'on', { qos: 1 })
    assert.equal(await next(there), 'sites/7/kitchen/light=on 1')
  })

  test("takes ejabberd's options", async () => {
    await using hub = await BridgeSite.start()
    await using site = await siteWith('bridge: ejabberd', {
      'hub.example:1883': `127.0.0.1:${hub.port}`,
    })
    const [there, here] = [await hub.listener('remoteA'), await site.listener('localB')]
    await here.publish('localA', 'a', { qos: 1 })
    assert.equal(await next(there), 'remoteA=a 1')
    await there.publish('remoteB', 'b')
    assert.equal(await next(here), 'localB=b 0r')
  })

  test('uses TLS, with a certificate of its own', { skip: noMosquittoBroker }, async () => {
    using folder = new Folder()
    const authority = makeCertificate({ name: 'Authority', isAuthority: true })
    const server = makeCertificate({ name: 'localhost', dns: ['localhost'], issuer: authority })
    await using hub = await MosquittoBroker.start({
      folder,
      config: [
        'cafile {dir}/authority.pem',
        'certfile {dir}/server.pem',
        'keyfile {dir}/server.pem',
        'require_certificate true',
        'use_identity_as_username true',
      ],
      files: {
        'authority.pem': authority.certificate,
        'server.pem': server.pem,
        'site.pem': makeCertificate({ name: 'site', issuer: authority }).pem,
      },
    })
    await using _site = await siteWith('bridge: tls', {
      'localhost:8883': `localhost:${hub.port}`,
      'authority.pem': folder.join('authority.pem'),
      'site.pem': folder.join('site.pem'),
    })
    await hub.says(/New (?:client|bridge) connected .* \([^)]*u'site'/)
  })

  test('lets mosquitto in', { skip: noMosquittoBroker }, async () => {
    const modules: unknown = parse(block('linnet: rules'))
    using folder = new Folder()
    const authority = makeCertificate({ name: 'Authority', isAuthority: true })
    const own = makeCertificate({ name: 'localhost', dns: ['localhost'], issuer: authority })
    writeFileSync(folder.join('own.pem'), own.pem)
    writeFileSync(folder.join('authority.pem'), authority.certificate)
    await using hub = await BridgeSite.start({
      config: { modules, certfiles: [folder.join('own.pem')] },
      listen: [{ port: 0, ip: '127.0.0.1', module: 'mod_mqtt', tls: true }],
    })
    const plain = block('mosquitto: site').replace('hub.example:1883', `127.0.0.1:${hub.port}`)
    const secure = block('mosquitto: tls')
      .replace('hub.example:8883', `localhost:${hub.server.port('mod_mqtt', 1)}`)
      .replace('/etc/mosquitto/authority.pem', folder.join('authority.pem'))
    for (const text of [plain, secure]) {
      await using site = await MosquittoBroker.start({
        config: ['allow_anonymous true', ...text.split('\n')],
      })
      await site.says(/Received SUBACK from local\.site/)
      await using here = await MqttClient.connect(site.port)
      await here.login({ userName: undefined, password: undefined })
      const there = await hub.listener('home/state/#')
      await here.publish('home/state/x', 'on', { qos: 1, retain: true })
      assert.equal(await next(there), 'home/state/x=on 1r')
    }
  })

  test('has no block that is not run', () => {
    assert.deepEqual([...blocks.keys()].sort(), [...used].sort())
  })
})
