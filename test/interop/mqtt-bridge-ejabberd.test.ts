import assert from 'node:assert/strict'
import { after, before, suite, test } from 'node:test'
import { BridgeSite, signIn } from '../support/bridge-site.ts'
import { Cable } from '../support/cable.ts'
import { freePort, noEjabberd, startEjabberd } from '../support/ejabberd.ts'
import type { EjabberdServer } from '../support/ejabberd.ts'
import { MqttClient } from '../support/mqtt-client.ts'

async function next(client: MqttClient): Promise<string> {
  const { topic, text, qos, retain } = await client.receiveMessage()
  return `${topic}=${text} ${qos}${retain ? 'r' : ''}`
}

interface Remote {
  readonly ejabberd: EjabberdServer
  readonly port: number
  readonly webPort: number
}

/** An ejabberd with accounts like those of a {@link BridgeSite}. */
async function startRemote(modules = ''): Promise<Remote> {
  const port = await freePort()
  const webPort = await freePort()
  const ejabberd = await startEjabberd({
    config: `
hosts: [localhost]
loglevel: info
listen:
  - {port: ${port}, ip: "127.0.0.1", module: mod_mqtt}
  - {port: ${webPort}, ip: "127.0.0.1", module: ejabberd_http, request_handlers: {/mqtt: mod_mqtt}}
modules:
  mod_mqtt: {}
${modules}`,
  })
  for (const user of ['juliet', 'site']) {
    const { exit, stdout, stderr } = await ejabberd.ctl('register', user, 'localhost', 'secret')
    assert.equal(exit, 0, stdout + stderr)
  }
  return { ejabberd, port, webPort }
}

async function clientOf(port: number, filter?: string): Promise<MqttClient> {
  const client = await MqttClient.connect(port)
  await client.login({ userName: 'juliet@localhost', clientId: `test-${Math.random()}` })
  if (filter !== undefined) await client.subscribe(filter, { retainAsPublished: true })
  return client
}

suite("Linnet's bridge to ejabberd", { skip: noEjabberd }, () => {
  let remote: Remote
  before(async () => {
    remote = await startRemote()
  })
  after(() => remote.ejabberd[Symbol.asyncDispose]())

  const ways: readonly [scheme: string, path: string][] = [
    ['mqtt', ''],
    ['mqtt5', ''],
    ['ws', '/mqtt'],
    ['ws5', '/mqtt'],
  ]
  for (const [scheme, path] of ways) {
    // shows: module mod_mqtt_bridge
    test(`hands on both ways by ${scheme}, and hears no echo`, async () => {
      const port = path === '' ? remote.port : remote.webPort
      await using site = await BridgeSite.start({
        servers: {
          [`${scheme}://127.0.0.1:${port}${path}`]: {
            authentication: signIn,
            topics: [`${scheme}/out/# out`, `${scheme}/in/# in`, `${scheme}/both/# both`],
          },
        },
      })
      await site.up()
      const here = await site.listener(`${scheme}/#`)
      await using there = await clientOf(remote.port, `${scheme}/#`)
      for (const qos of [0, 1, 2] as const) {
        await here.publish(`${scheme}/out/x`, `${qos}`, { qos })
        assert.equal(await next(here), `${scheme}/out/x=${qos} ${qos}`)
        assert.equal(await next(there), `${scheme}/out/x=${qos} ${qos}`)
        await there.publish(`${scheme}/in/x`, `${qos}`, { qos })
        assert.equal(await next(there), `${scheme}/in/x=${qos} ${qos}`)
        assert.equal(await next(here), `${scheme}/in/x=${qos} ${qos}`)
        await here.publish(`${scheme}/both/x`, `${qos}`, { qos })
        assert.equal(await next(here), `${scheme}/both/x=${qos} ${qos}`)
        assert.equal(await next(there), `${scheme}/both/x=${qos} ${qos}`)
      }
      // Behind which echoes would be.
      await there.publish(`${scheme}/in/x`, 'end', { qos: 1 })
      assert.equal(await next(here), `${scheme}/in/x=end 1`)
      assert.equal(await next(there), `${scheme}/in/x=end 1`)
      await here.hearsNothing()
      await there.hearsNothing()
    })
  }

  test('gets over a connection that breaks', async () => {
    await using cable = await Cable.lay(remote.port)
    await using site = await BridgeSite.start({
      servers: {
        [`mqtt5://127.0.0.1:${cable.port}`]: {
          authentication: signIn,
          topics: ['cable/out out 2', 'cable/in in 2'],
        },
      },
    })
    await site.up()
    const here = await site.listener('cable/in')
    await using there = await clientOf(remote.port, 'cable/out')
    cable.cut()
    await site.down()
    for (let i = 0; i < 20; i++) {
      await here.publish('cable/out', `${i}`, { qos: 2 })
      await there.publish('cable/in', `${i}`, { qos: 2 })
    }
    cable.mend()
    for (let i = 0; i < 20; i++) {
      assert.equal(await next(there), `cable/out=${i} 2`)
      assert.equal(await next(here), `cable/in=${i} 2`)
    }
  })

  test('says why it is not let in', async () => {
    await using site = await BridgeSite.start({
      servers: {
        [`mqtt5://127.0.0.1:${remote.port}`]: {
          authentication: { ...signIn, password: 'wrong' },
          topics: ['a out'],
        },
      },
    })
    while (site.status[0]?.state !== 'waiting') await new Promise(setImmediate)
    assert.match(site.status[0]?.problem, /refused the connection: .*(?:authorized|password)/i)
  })
})

suite("ejabberd's bridge to Linnet", { skip: noEjabberd }, () => {
  // shows: option mod_mqtt_bridge.servers
  // shows: option mod_mqtt_bridge.replication_user
  test('hands on by the same lines of configuration as ours', async () => {
    await using hub = await BridgeSite.start()
    const servers = {
      [`mqtt5://127.0.0.1:${hub.port}`]: {
        publish: { localA: 'remoteA' },
        subscribe: { remoteB: 'localB' },
        authentication: signIn,
      },
    }
    const options = { servers, replication_user: 'site@localhost' }
    // JSON is YAML.
    const { ejabberd, port } = await startRemote(`  mod_mqtt_bridge: ${JSON.stringify(options)}`)
    await using _ejabberd = ejabberd
    await using site = await BridgeSite.start({
      servers,
      bridge: { replication_user: 'site@localhost' },
    })
    await site.up()
    const there = await hub.listener('remoteA')
    const talker = await hub.client()
    for (const near of [port, site.port]) {
      await using here = await clientOf(near, 'localB')
      await here.publish('localA', `by ${near}`, { qos: 0 })
      assert.equal(await next(there), `remoteA=by ${near} 0`)
      await talker.publish('remoteB', `to ${near}`)
      // What was handed on to the one before may be there already.
      while ((await here.receiveMessage()).text !== `to ${near}`) continue
      // Whoever comes later finds it.
      await using late = await clientOf(near, 'localB')
      assert.equal(await next(late), `localB=to ${near} 0r`)
    }
  })
})
