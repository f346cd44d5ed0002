import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { sharedFilterOf } from '../../src/mqtt/topic.ts'
import { ReasonCode } from '../../src/mqtt/packet/reason-code.ts'
import { access } from '../../src/core/shared.ts'
import { MqttServer } from '../support/mqtt-broker.ts'
import type { MqttClient } from '../support/mqtt-client.ts'

const denied = ReasonCode.notAuthorized

/** The reason string of the PUBACK or PUBREC that answers a publication. */
async function reasonOf(
  client: MqttClient,
  topic: string,
  options: { qos: 1 | 2; retain?: boolean },
): Promise<string | undefined> {
  client.sendPublish(topic, 'x', options)
  const answer = options.qos === 1 ? await client.receive('puback') : await client.receive('pubrec')
  assert.equal(answer.reasonCode, denied)
  return answer.properties.reasonString
}

/** Subscribes to one filter; the reason string of its SUBACK. */
async function subackReason(client: MqttClient, filter: string): Promise<string | undefined> {
  client.send({
    kind: 'subscribe',
    packetId: 77,
    subscriptions: [
      { filter, qos: 1, noLocal: false, retainAsPublished: false, retainHandling: 0 },
    ],
    properties: {},
  })
  const suback = await client.receive('suback')
  assert.deepEqual(suback.reasonCodes, [denied])
  return suback.properties.reasonString
}

function deniedLines(server: MqttServer, level: string): string[] {
  return server.logged.filter((line) => line.includes('Denied by') && line.includes(level))
}

suite('limits in access_publish', () => {
  const module = {
    access_publish: {
      'plain/#': 'all',
      'slow/#': { access: 'all', max_qos: 1 },
      'live/#': { access: 'all', retain: false },
      'mixed/#': { access: 'all', max_qos: 0 },
      'mixed/+': { access: 'all', max_qos: 2, retain: false },
      'inline/#': [{ allow: { user: 'juliet' } }],
      'staff/#': { access: [{ allow: { user: 'romeo' } }], max_qos: 1 },
    },
  }

  // shows: option mod_mqtt.access_publish
  test('bound the QoS and retained messages of whom the rule allows', async () => {
    await using server = await MqttServer.start({ module })
    await using client = await server.login()
    const none = ReasonCode.noMatchingSubscribers
    const table: [string, 0 | 1 | 2, boolean, number][] = [
      ['plain/a', 2, true, none],
      ['slow/a', 1, true, none],
      ['slow/a', 2, false, denied],
      ['slow/a', 2, true, denied],
      ['live/a', 2, false, none],
      ['live/a', 1, true, denied],
      // Each entry allows what it allows: QoS 2, or retained messages of QoS 0.
      ['mixed/a', 2, false, none],
      ['mixed/a', 1, true, denied],
      ['inline/a', 2, true, none],
      ['staff/a', 1, false, denied],
    ]
    for (const [topic, qos, retain, expected] of table) {
      const reason = await client.publish(topic, 'x', { qos, retain })
      assert.equal(reason, expected, `${topic} ${qos} ${retain}`)
    }
    await client.publish('live/a', 'x', { retain: true })
    await client.publish('mixed/a', 'x', { retain: true })
    await client.hearsNothing()
    assert.equal(server.broker().retained.size, 4)
  })

  test('are told by name, to the client and in the log', async () => {
    await using server = await MqttServer.start({
      module: {
        access_publish: {
          ...module.access_publish,
          'staff/only': 'no_such_rule',
          'none/#': 'none',
        },
      },
    })
    await using client = await server.login()
    const table: [string, { qos: 1 | 2; retain?: boolean }, string][] = [
      ['slow/a', { qos: 2 }, 'access_publish "slow/#" allows QoS 1 at most'],
      ['live/a', { qos: 1, retain: true }, 'access_publish "live/#" allows no retained messages'],
      [
        'staff/only',
        { qos: 1 },
        'access_publish "staff/#" needs what its own rule asks for; access_publish "staff/only" needs the access rule "no_such_rule"',
      ],
      ['none/a', { qos: 1 }, 'access_publish "none/#" needs the access rule "none"'],
      ['other', { qos: 1 }, 'no filter of access_publish selects it'],
      ['$SYS/x', { qos: 1 }, 'topics with "$" in front are the server\'s own'],
    ]
    for (const [topic, options, why] of table) {
      const text = `Publishing to "${topic}" is not allowed: ${why}`
      assert.equal(await reasonOf(client, topic, options), text)
      const line = server.logged.find((text) => text.includes(JSON.stringify(why).slice(1, -1)))
      assert.match(line ?? '', /juliet@localhost\/test/)
    }
  })

  test('never quote more of a topic than fits', async () => {
    await using server = await MqttServer.start({ module: { access_publish: { a: 'all' } } })
    await using client = await server.login()
    const reason = await reasonOf(client, 'x'.repeat(60_000), { qos: 1 })
    assert.equal(
      reason,
      `Publishing to "${'x'.repeat(64)}…" is not allowed: no filter of access_publish selects it`,
    )
  })

  test('hold for the will', async () => {
    await using server = await MqttServer.start({ module })
    for (const [topic, qos, retain, expected] of [
      ['slow/a', 1, true, 0],
      ['slow/a', 2, false, denied],
      ['live/a', 0, true, denied],
    ] as const) {
      await using client = await server.connect()
      client.sendConnect({ will: { topic, qos, retain } })
      const { reasonCode, properties } = await client.receive('connack')
      assert.equal(reasonCode, expected, topic)
      if (expected !== 0) assert.match(properties.reasonString ?? '', /^Publishing to ".*" is not/)
    }
  })
})

suite('a client that may not publish', () => {
  const module = { access_publish: { 'a/#': 'all' } }

  test('stays connected at any QoS, and the message goes nowhere (MQTT5 4.13.1)', async () => {
    await using server = await MqttServer.start({ module })
    await using watcher = await server.login({ clientId: 'watcher' })
    await watcher.subscribe('#')
    for (const version of [3, 4, 5] as const) {
      await using client = await server.login({ version, clientId: `v${version}` })
      for (const qos of [0, 1, 2] as const) {
        const reason = await client.publish('b', 'x', { qos })
        assert.equal(reason, qos > 0 && version === 5 ? denied : 0)
      }
      await client.publish('a', `v${version}`)
      assert.equal((await watcher.receiveMessage()).text, `v${version}`)
      await client.hearsNothing()
    }
    const labels = 'host="localhost",reason="denied"'
    assert.equal(server.metric('linnet_mqtt_messages_dropped_total', labels), 9)
  })

  test('fills the log with ten lines at most', async () => {
    await using server = await MqttServer.start({ module })
    await using client = await server.login()
    for (let i = 0; i < 15; i++) client.sendPublish('b', 'x')
    await client.hearsNothing()
    assert.equal(deniedLines(server, '"info"').length, 10)
    assert.equal(deniedLines(server, '"debug"').length, 5)
  })
})

suite('limits in access_subscribe', () => {
  const module = {
    access_subscribe: {
      'plain/#': 'all',
      'slow/#': { access: 'all', max_qos: 1 },
      'live/#': { access: 'all', retain: false },
      'both/#': { access: 'all', max_qos: 1, retain: false },
      'both/+': { access: 'all', max_qos: 0 },
    },
  }

  // shows: option mod_mqtt.access_subscribe
  test('lower the QoS that is granted, and keep retained messages back', async () => {
    await using server = await MqttServer.start({ module })
    await using client = await server.login()
    await using publisher = await server.login({ clientId: 'publisher' })
    for (const topic of ['plain/a', 'slow/a', 'live/a', 'both/a']) {
      await publisher.publish(topic, `old ${topic}`, { qos: 2, retain: true })
    }
    const heard: [string, number][] = []
    for (const [filter, granted] of [
      ['plain/a', 2],
      ['slow/a', 1],
      ['live/a', 2],
      ['both/a', 1],
    ] as const) {
      assert.equal(await client.subscribe(filter), granted)
      if (filter === 'live/a') {
        await client.hearsNothing()
        continue
      }
      const { text, qos } = await client.receiveMessage()
      heard.push([text, qos])
    }
    assert.deepEqual(heard, [
      ['old plain/a', 2],
      ['old slow/a', 1],
      ['old both/a', 0],
    ])
    await publisher.publish('live/a', 'new', { qos: 2 })
    assert.equal((await client.receiveMessage()).qos, 2)
    await publisher.publish('slow/a', 'new', { qos: 2 })
    assert.equal((await client.receiveMessage()).qos, 1)
  })

  test('the reason for a denial is in SUBACK and in the log, MQTT 3 hears 0x80', async () => {
    await using server = await MqttServer.start({
      module: { access_subscribe: { ...module.access_subscribe, 'staff/#': 'staff' } },
    })
    await using client = await server.login()
    const text = 'Subscribing to "staff/a" is not allowed: access_subscribe "staff/#" needs'
    assert.equal(await subackReason(client, 'staff/a'), `${text} the access rule "staff"`)
    assert.equal(deniedLines(server, 'staff/#').length, 1)
    assert.equal(
      await subackReason(client, '$share/g/other'),
      'Subscribing to "other" is not allowed: no filter of access_subscribe selects it',
    )
    await using old = await server.connect()
    await old.login({ version: 4, clientId: 'old' })
    // One failure code is all that MQTT 3 has (MQTT3 3.9.3-2).
    assert.equal(await old.subscribe('staff/a'), ReasonCode.unspecifiedError)
    assert.equal(await old.subscribe('slow/a'), 1)
  })

  test('no reason strings for clients that want no problem information (MQTT5 3.1.2-29)', async () => {
    await using server = await MqttServer.start({
      module: { ...module, access_publish: { 'a/#': 'all' } },
    })
    await using client = await server.login({ properties: { requestProblemInformation: false } })
    assert.equal(await subackReason(client, 'other'), undefined)
    assert.equal(await reasonOf(client, 'b', { qos: 1 }), undefined)
    assert.equal(await reasonOf(client, 'b', { qos: 2 }), undefined)
  })
})

test('placeholders mean the client itself, in names as prepared', async () => {
  const rules = { 'u/%u': 'all', 'd/%d/+': 'all', 'c/%c/#': 'all', 'g/%g': 'all' }
  await using server = await MqttServer.start({
    hosts: ['localhost', 'example.org'],
    module: { access_publish: rules, access_subscribe: rules },
  })
  server.services
    .get(access)
    .provideSharedGroups(
      (user, host, group) => user === 'juliet' && host === 'example.org' && group === 'balcony',
    )
  const options = { userName: 'juliet@example.org', clientId: 'Lamp' }
  await using client = await server.login(options)
  await using other = await server.login({ clientId: 'Other' })
  const table: [string, boolean, boolean][] = [
    ['u/juliet', true, true],
    // User and domain are case-folded, client identifiers are not.
    ['u/JULIET', true, true],
    ['u/romeo', false, false],
    ['d/example.org/x', true, false],
    ['d/EXAMPLE.org/x', true, false],
    ['d/localhost/x', false, true],
    ['c/Lamp', true, false],
    ['c/Lamp/x/y', true, false],
    ['c/lamp/x', false, false],
    ['g/balcony', true, false],
    ['g/other', false, false],
    ['g/%g', false, false],
    ['u/%u', false, false],
  ]
  for (const [topic, own, others] of table) {
    for (const [who, isAllowed] of [
      [client, own],
      [other, others],
    ] as const) {
      const reason = await who.publish(topic, 'x', { qos: 1 })
      assert.equal(reason, isAllowed ? ReasonCode.noMatchingSubscribers : denied, topic)
      assert.equal(await who.subscribe(topic), isAllowed ? 2 : denied, topic)
      await who.unsubscribe(topic)
    }
  }
  for (const filter of ['u/+', 'd/+/x', 'c/+/x', 'g/+', 'c/#', 'u/#']) {
    assert.equal(await client.subscribe(filter), denied, filter)
  }
})

suite('a reload that tightens access_subscribe', () => {
  test('ends subscriptions at once, and lowers the QoS of others', async () => {
    await using server = await MqttServer.start()
    await using client = await server.login({ clientId: 'client' })
    await using old = await server.login({ clientId: 'old', version: 4 })
    await using publisher = await server.login({ clientId: 'publisher' })
    for (const filter of ['a', 'b', '$share/g/c', 'd/+'])
      assert.equal(await client.subscribe(filter), 2)
    assert.equal(await old.subscribe('#'), 2)
    await server.reload({
      module: { access_subscribe: { a: 'all', 'd/+': { access: 'all', max_qos: 0 } } },
    })
    for (const topic of ['a', 'b', 'c', 'd/x']) await publisher.publish(topic, topic, { qos: 1 })
    assert.deepEqual(
      [await client.receiveMessage(), await client.receiveMessage()].map(({ text, qos }) => [
        text,
        qos,
      ]),
      [
        ['a', 1],
        ['d/x', 0],
      ],
    )
    await client.hearsNothing()
    await old.hearsNothing()
    assert.deepEqual(await client.unsubscribe('a', 'b'), [0, ReasonCode.noSubscriptionExisted])
    const lines = server.logged.filter((line) => line.includes('Subscriptions ended'))
    assert.equal(lines.length, 2)
    const [first = ''] = lines
    assert.ok(first.includes('"b"') && first.includes('$share/g/c') && first.includes('"count":2'))
  })

  test('ends those of sessions whose clients are away, for good', async () => {
    const options = {
      clientId: 'lamp',
      cleanStart: false,
      properties: { sessionExpiryInterval: 100 },
    }
    const module = { session_expiry: '1 hour' }
    await using server = await MqttServer.start({ module })
    const client = await server.login(options)
    await client.subscribe('a')
    await client.subscribe('b')
    await client.disconnect()
    const tight = { ...module, access_subscribe: { a: 'all' } }
    await server.reload({ module: tight })
    await using publisher = await server.login({ clientId: 'publisher' })
    await publisher.publish('b', 'x', { qos: 1 })
    await publisher.publish('a', 'y', { qos: 1 })
    const file = await server.stop()
    await using next = await MqttServer.start({ module: tight, file })
    await using back = await next.connect()
    assert.equal((await back.login(options)).sessionPresent, true)
    assert.equal((await back.receiveMessage()).text, 'y')
    assert.deepEqual(
      next.broker().subscriptionsOf([...next.broker().listSessions()][0]?.jid ?? assert.fail()),
      [{ filter: 'a', qos: 2 }],
    )
  })

  test('asks rules about addresses when the client is back', async () => {
    const options = {
      clientId: 'lamp',
      cleanStart: false,
      properties: { sessionExpiryInterval: 100 },
    }
    await using server = await MqttServer.start()
    const client = await server.login(options)
    for (const filter of ['here', 'elsewhere', 'not/there']) await client.subscribe(filter)
    await client.disconnect()
    await server.reload({
      module: {
        access_subscribe: {
          here: [{ allow: { ip: '127.0.0.0/8' } }],
          elsewhere: [{ allow: { ip: '192.0.2.0/24' } }],
          'not/there': [{ deny: { ip: '192.0.2.0/24' } }, { allow: 'all' }],
        },
      },
    })
    const filters = (): string[] => {
      const [info] = server.broker().listSessions()
      return server
        .broker()
        .subscriptionsOf(info?.jid ?? assert.fail())
        .map(({ filter }) => sharedFilterOf(filter)?.filter ?? filter)
    }
    assert.deepEqual(filters(), ['here', 'elsewhere', 'not/there'])
    await using back = await server.login(options)
    await back.hearsNothing()
    assert.deepEqual(filters(), ['here', 'not/there'])
  })

  test('looks at many without holding others up', async () => {
    await using server = await MqttServer.start({ module: { max_subscriptions: 'infinity' } })
    await using client = await server.login()
    const filters = Array.from({ length: 2500 }, (_, i) => `many/${i}`)
    for (const filter of filters) {
      client.send({
        kind: 'subscribe',
        packetId: 1,
        subscriptions: [
          { filter, qos: 0, noLocal: false, retainAsPublished: false, retainHandling: 2 },
        ],
        properties: {},
      })
      await client.receive('suback')
    }
    await server.reload({ module: { access_subscribe: { 'many/0': 'all' } } })
    // Unsubscribing is answered in turn; the rest was ended in later turns of the event loop.
    const left = (): number | undefined => {
      const [info] = server.broker().listSessions()
      return info?.subscriptions
    }
    for (let i = 0; i < 100 && left() !== 1; i++) await client.hearsNothing()
    assert.equal(left(), 1)
    assert.deepEqual(await client.unsubscribe('many/0', 'many/2499'), [
      0,
      ReasonCode.noSubscriptionExisted,
    ])
  })
})
