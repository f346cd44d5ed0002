import assert from 'node:assert/strict'
import { test } from 'node:test'
import { metrics } from '../../src/core/shared.ts'
import { BridgeSite, signIn } from '../support/bridge-site.ts'
import { Cable } from '../support/cable.ts'
import { freePort } from '../support/ejabberd.ts'

/** Sites on these ports, each with bridges to those that follow it by so many places. */
async function ring(count: number, steps: readonly number[]): Promise<readonly BridgeSite[]> {
  const ports: number[] = []
  for (let i = 0; i < count; i++) ports.push(await freePort())
  const sites: BridgeSite[] = []
  for (const [i, port] of ports.entries()) {
    const servers = Object.fromEntries(
      steps.map((step) => [
        `mqtt5://127.0.0.1:${ports[(i + step) % count]}`,
        { authentication: signIn, topics: ['# both 1'], max_reconnect_delay: '1 second' },
      ]),
    )
    sites.push(await BridgeSite.start({ port, servers }))
  }
  return sites
}

test('a ring of three brokers, each bridged to the next, hands on and comes to rest', async () => {
  await using stack = new AsyncDisposableStack()
  const sites = await ring(3, [1])
  for (const site of sites) stack.use(site)
  for (const site of sites) await site.up()
  const listeners = await Promise.all(sites.map((site) => site.listener('a/#')))
  const publisher = await sites[0]?.client()
  await publisher?.publish('a/b', 'once', { qos: 1 })
  for (const listener of listeners) assert.equal((await listener.receiveMessage()).text, 'once')
  // It comes by both ways round, so that somebody may get it twice; but it does not go round for ever.
  const total = (): number => sites.reduce((sum, site) => sum + (site.status[0]?.sent ?? 0), 0)
  const probers = await Promise.all(sites.map((site) => site.client()))
  for (let calm = 0, before = -1; calm < 5; calm++) {
    if (total() !== before) calm = 0
    before = total()
    assert.ok(before < 30, 'It goes round for ever')
    for (const prober of probers) for (let i = 0; i < 10; i++) await prober.hearsNothing()
  }
})

// shows: module mod_mqtt_bridge
// shows: command mqtt_bridge_status
test('the state of a bridge is told here and there', async () => {
  await using hub = await BridgeSite.start()
  await using cable = await Cable.lay(hub.port)
  await using site = await BridgeSite.start({
    mqtt: { access_sys: 'all' },
    servers: {
      [`mqtt5://127.0.0.1:${cable.port}`]: {
        name: 'hub',
        authentication: signIn,
        topics: ['a out'],
        status_topic: 'sites/7/up',
      },
    },
  })
  await site.up()
  const there = await hub.listener('sites/#')
  const here = await site.listener('$SYS/broker/connection/hub/state')
  assert.equal((await there.receiveMessage()).text, '1')
  assert.equal((await here.receiveMessage()).text, '1')
  cable.cut()
  assert.equal((await here.receiveMessage()).text, '0')
  assert.equal((await there.receiveMessage()).text, '0')
  cable.mend()
  assert.equal((await here.receiveMessage()).text, '1')
  assert.equal((await there.receiveMessage()).text, '1')
  // In order, too, when the bridge is taken out of the configuration.
  assert.equal(
    await site.server.reload({ modules: { mod_mqtt: { access_sys: 'all' } } }),
    undefined,
  )
  assert.equal((await here.receiveMessage()).text, '0')
  assert.equal((await there.receiveMessage()).text, '0')
})

test('a reload leaves a bridge alone that stays the same', async () => {
  await using hub = await BridgeSite.start()
  await using cable = await Cable.lay(hub.port)
  const one = `mqtt5://127.0.0.1:${cable.port}`
  const two = `mqtt5://127.0.0.1:${hub.port}`
  const options = { authentication: signIn, topics: ['a out 1'] }
  await using site = await BridgeSite.start({ servers: { [one]: options } })
  await site.up()
  const modules = {
    mod_mqtt: {},
    mod_mqtt_bridge: { servers: { [one]: options, [two]: { ...options, topics: ['b out 1'] } } },
  }
  assert.equal(await site.server.reload({ modules }), undefined)
  assert.equal(cable.connections, 1)
  const there = await hub.listener('b')
  const here = await site.client()
  // Taken for the new one even before it is up.
  await here.publish('b', 'new', { qos: 1 })
  assert.equal((await there.receiveMessage()).text, 'new')
  assert.equal(site.status.length, 2)
  const figures = site.server.server.services.get(metrics).render()
  assert.match(figures, /^linnet_mqtt_bridge_up\{host="localhost",bridge="127\.0\.0\.1:\d+"\} 1$/m)
  assert.match(figures, /^linnet_mqtt_bridge_sent_total\{host="localhost",bridge=.*\} 1$/m)
})
