import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { BridgeSite, signIn } from '../support/bridge-site.ts'
import { Cable } from '../support/cable.ts'
import type { MqttClient } from '../support/mqtt-client.ts'

type Values = Readonly<Record<string, unknown>>

/** A site with one bridge to another one. */
async function connected(hub: BridgeSite, options: Values, scheme = 'mqtt5'): Promise<BridgeSite> {
  const site = await BridgeSite.start({
    servers: { [`${scheme}://127.0.0.1:${hub.port}`]: { authentication: signIn, ...options } },
  })
  await site.up()
  return site
}

/** Topic, payload and flags of the next message. */
async function next(client: MqttClient): Promise<string> {
  const { topic, text, qos, retain } = await client.receiveMessage()
  return `${topic}=${text} ${qos}${retain ? 'r' : ''}`
}

async function take(client: MqttClient, count: number): Promise<string[]> {
  const messages: string[] = []
  while (messages.length < count) messages.push(await next(client))
  return messages
}

for (const scheme of ['mqtt', 'mqtt5']) {
  suite(`a bridge to another Linnet by ${scheme}`, () => {
    // shows: option mod_mqtt_bridge.servers
    // shows: module mod_mqtt_bridge
    test("hands single topics on, as ejabberd's options say", async () => {
      await using hub = await BridgeSite.start()
      await using site = await connected(
        hub,
        { publish: { localA: 'remoteA', same: 'same' }, subscribe: { remoteB: 'localB' } },
        scheme,
      )
      const [there, here] = [await hub.listener(), await site.listener('localB')]
      for (const topic of ['localA', 'same', 'localA/below']) {
        await here.publish(topic, `from ${topic}`, { qos: 1 })
      }
      assert.deepEqual(await take(there, 2), ['remoteA=from localA 1', 'same=from same 1'])
      await there.publish('remoteB/below', 'no')
      await there.publish('remoteB', 'yes', { qos: 2 })
      // Kept here, whatever its flag was.
      assert.equal(await next(here), 'localB=yes 2r')
      await there.receiveMessage()
      await there.receiveMessage()
      await there.hearsNothing()
      await here.hearsNothing()
    })

    test('keeps QoS as far as its rule allows, and the retain flag', async () => {
      await using hub = await BridgeSite.start()
      const topics = ['low/# both 0', 'middle/# both 1', 'high/# both 2']
      await using site = await connected(hub, { topics }, scheme)
      const [there, here] = [await hub.listener(), await site.listener()]
      for (const [from, to] of [
        [here, there],
        [there, here],
      ] as const) {
        for (const name of ['low', 'middle', 'high']) {
          for (const qos of [0, 1, 2] as const) {
            const retain = qos === 1
            await from.publish(`${name}/x`, `${qos}`, { qos, retain })
            assert.equal(await next(from), `${name}/x=${qos} ${qos}${retain ? 'r' : ''}`)
            const most = { low: 0, middle: 1, high: 2 }[name] ?? 0
            assert.equal(
              await next(to),
              `${name}/x=${qos} ${Math.min(qos, most)}${retain ? 'r' : ''}`,
            )
          }
        }
      }
      await there.hearsNothing()
      await here.hearsNothing()
    })

    test('renames topics by their prefixes', async () => {
      await using hub = await BridgeSite.start()
      await using site = await connected(
        hub,
        { topics: ['# both 1 home/ site/7/', 'alarm out', '"" in 1 kitchen/light cloud/42'] },
        scheme,
      )
      const [there, here] = [await hub.listener(), await site.listener()]
      await here.publish('home/a/b', '1', { qos: 1 })
      await here.publish('alarm', '2', { qos: 1 })
      await here.publish('other', '3', { qos: 1 })
      await here.publish('home', '4', { qos: 1 })
      assert.deepEqual(await take(there, 3), ['site/7/a/b=1 1', 'alarm=2 1', 'site/7=4 1'])
      await take(here, 4)
      await there.publish('site/7/c', '5', { qos: 1 })
      await there.publish('cloud/42', 'on', { qos: 1 })
      assert.deepEqual(await take(here, 2), ['home/c=5 1', 'kitchen/light=on 1'])
    })

    test('gives what is retained to a broker that does not know it yet', async () => {
      await using hub = await BridgeSite.start()
      await using first = await connected(hub, { topics: ['a/# both 1'] }, scheme)
      await using there = await hub.client()
      await there.publish('b/there', 'old', { qos: 1, retain: true })
      const here = await first.client()
      await here.publish('b/here', 'old', { qos: 1, retain: true })
      const url = `${scheme}://127.0.0.1:${hub.port}`
      const servers = { [url]: { authentication: signIn, topics: ['a/# both 1', 'b/# both 1'] } }
      const modules = { mod_mqtt: {}, mod_mqtt_bridge: { servers } }
      const [heard, seen] = [await hub.listener('b/here'), await first.listener('b/there')]
      assert.equal(await first.server.reload({ modules }), undefined)
      assert.equal(await next(heard), 'b/here=old 1r')
      assert.equal(await next(seen), 'b/there=old 1r')
    })

    test('sends nothing back where it came from', async () => {
      await using hub = await BridgeSite.start()
      await using site = await connected(hub, { topics: ['# both 2'] }, scheme)
      const [there, here] = [await hub.listener(), await site.listener()]
      await here.publish('a', 'from here', { qos: 2, retain: true })
      await there.publish('b', 'from there', { qos: 2, retain: true })
      for (const client of [here, there]) {
        assert.deepEqual((await take(client, 2)).sort(), ['a=from here 2r', 'b=from there 2r'])
      }
      // A round trip over the bridge, behind which an echo would be.
      await here.publish('c', 'c', { qos: 2 })
      assert.equal(await next(there), 'c=c 2')
      await there.publish('d', 'd', { qos: 2 })
      assert.deepEqual(await take(here, 2), ['c=c 2', 'd=d 2'])
      assert.equal(await next(there), 'd=d 2')
      await there.hearsNothing()
      await here.hearsNothing()
    })

    // shows: MQTT3 7.0.0-1
    test('loses nothing and doubles nothing of QoS 2 when the connection breaks', async () => {
      await using hub = await BridgeSite.start()
      await using cable = await Cable.lay(hub.port)
      await using site = await BridgeSite.start({
        servers: {
          [`${scheme}://127.0.0.1:${cable.port}`]: {
            authentication: signIn,
            topics: ['up/# out 2', 'down/# in 2'],
          },
        },
      })
      await site.up()
      const [there, here] = [await hub.listener('up/#'), await site.listener('down/#')]
      const count = 300
      const publish = async (client: MqttClient, topic: string): Promise<void> => {
        for (let i = 0; i < count; i++) await client.publish(topic, `${i}`, { qos: 2 })
      }
      const [publisher, other] = [await site.client(), await hub.client()]
      // The listeners have answers of their own to give: others publish.
      const work = [publish(publisher, 'up/x'), publish(other, 'down/x')]
      const expected = Array.from({ length: count }, (_, i) => `${i}`)
      const texts = async (client: MqttClient): Promise<string[]> => {
        return (await take(client, count)).map((line) => /=(\d+)/.exec(line)?.[1] ?? line)
      }
      const [up, down] = await Promise.all([texts(there), texts(here), cuts(), ...work])
      assert.deepEqual(up, expected)
      assert.deepEqual(down, expected)
      // All is released, too: no packet identifier stays in use for ever.
      while ((site.status[0]?.inflight ?? 0) > 0) await here.hearsNothing()
      assert.equal(site.status[0]?.queued, 0)
      async function cuts(): Promise<void> {
        const prober = await hub.client()
        for (let i = 0; i < 3; i++) {
          const before = site.status[0]?.received ?? 0
          while ((site.status[0]?.received ?? 0) < before + 20) await prober.hearsNothing()
          cable.cut()
          await site.down()
          cable.mend()
          await site.up()
        }
      }
    })
  })
}
