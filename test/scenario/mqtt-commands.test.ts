import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { createSecureContext } from 'node:tls'
import type { Caller, CommandValue } from '../../src/core/command.ts'
import { CommandError } from '../../src/core/command.ts'
import { makeCertificate } from '../../src/core/net/test-support.ts'
import { ReasonCode } from '../../src/mqtt/packet/reason-code.ts'
import { bareJid, jid } from '../../src/xmpp/jid/jid.ts'
import { FaultyStore } from '../support/faulty-store.ts'
import { MqttServer } from '../support/mqtt-broker.ts'
import { MqttClient } from '../support/mqtt-client.ts'
import { TestServer } from '../support/server.ts'

const shell: Caller = { from: 'ejabberd_ctl' }

/** Runs a command as the shell would, or somebody else. */
async function run(
  server: MqttServer,
  name: string,
  args: readonly CommandValue[],
  caller: Caller = shell,
): Promise<CommandValue> {
  const command = server.commands.find(name) ?? assert.fail(`No command ${name}`)
  assert.equal(args.length, command.args.length)
  const { services } = server
  return command.run(args, { caller, services, service: (token) => services.get(token) })
}

/** The rows of a list of tuples, each with its fields by name. */
async function rows(
  server: MqttServer,
  name: string,
  args: readonly CommandValue[],
): Promise<readonly Record<string, CommandValue>[]> {
  const { result } = server.commands.find(name) ?? assert.fail(`No command ${name}`)
  if (typeof result === 'string' || typeof result.type === 'string' || !('list' in result.type)) {
    assert.fail(`${name} gives no list`)
  }
  const { type } = result.type.list
  if (typeof type === 'string' || !('tuple' in type)) assert.fail(`${name} gives no tuples`)
  const value = await run(server, name, args)
  assert.ok(Array.isArray(value))
  return value.map((row: CommandValue) => {
    assert.ok(Array.isArray(row) && row.length === type.tuple.length)
    return Object.fromEntries(type.tuple.map((field, i) => [field.name, row[i] ?? '']))
  })
}

async function details(
  server: MqttServer,
  name: string,
  args: readonly CommandValue[],
): Promise<Record<string, CommandValue>> {
  const list = await rows(server, name, args)
  return Object.fromEntries(list.map(({ name: own, value }) => [String(own), value ?? '']))
}

/** What a command fails with. */
async function failure(
  server: MqttServer,
  name: string,
  args: readonly CommandValue[],
  caller?: Caller,
): Promise<string> {
  try {
    await run(server, name, args, caller)
  } catch (error) {
    if (error instanceof CommandError) return `${error.code}: ${error.message}`
    throw error
  }
  return assert.fail(`${name} did not fail`)
}

async function column(
  server: MqttServer,
  name: string,
  args: readonly CommandValue[],
  field: string,
): Promise<readonly CommandValue[]> {
  return (await rows(server, name, args)).map((row) => row[field] ?? '')
}

const lasting = { clientId: 'l', cleanStart: false, properties: { sessionExpiryInterval: 100 } }

suite('clients', () => {
  // shows: command mqtt_list_clients
  test('are listed with what they did', async () => {
    await using server = await MqttServer.start()
    await using reader = await server.login({ userName: 'romeo', clientId: 'r', keepAlive: 60 })
    await reader.subscribe('a', { qos: 1 })
    await using writer = await server.login({ clientId: 'w', version: 4 })
    for (const text of ['1', '2']) await writer.publish('a', text, { qos: 1 })
    await writer.publish('a', '3')
    await reader.receive('publish')
    await writer.hearsNothing()
    const since = new Date(server.clock.now()).toISOString()
    const [first = {}, second = {}, ...more] = await rows(server, 'mqtt_list_clients', [
      'localhost',
      '',
      10,
    ])
    assert.deepEqual(more, [])
    const { port, ...known } = first
    assert.ok(Number(port) > 0)
    assert.deepEqual(known, {
      jid: 'juliet@localhost/w',
      user: 'juliet',
      client_id: 'w',
      ip: '127.0.0.1',
      connection: 'mqtt',
      version: '3.1.1',
      tls: '',
      keep_alive: 0,
      since,
      messages_in: 3,
      messages_out: 0,
      queued: 0,
      inflight: 0,
    })
    assert.equal(second['jid'], 'romeo@localhost/r')
    assert.equal(second['version'], '5.0')
    assert.equal(second['keep_alive'], 60)
    assert.equal(second['messages_out'], 3)
    assert.equal(second['inflight'], 2)
  })

  test('are listed in pages', async () => {
    await using server = await MqttServer.start()
    const ids = ['e', 'b', 'd', 'a', 'c']
    for (const clientId of ids) await server.login({ clientId })
    const page = (after: string, limit: number): Promise<readonly CommandValue[]> =>
      column(server, 'mqtt_list_clients', ['localhost', after, limit], 'client_id')
    assert.deepEqual(await page('', 2), ['a', 'b'])
    assert.deepEqual(await page('juliet@localhost/b', 2), ['c', 'd'])
    // It need not be there any more.
    await run(server, 'mqtt_kick_client', ['', 'localhost', 'd', ''])
    assert.deepEqual(await page('juliet@localhost/d', 2), ['e'])
    assert.deepEqual(await page('juliet@localhost/e', 2), [])
    assert.deepEqual(await page('', 10_000), ['a', 'b', 'c', 'e'])
    for (const limit of [0, -1, 10_001]) {
      const args = ['localhost', '', limit]
      assert.match(await failure(server, 'mqtt_list_clients', args), /limit must be from 1 to/)
    }
  })

  // shows: command mqtt_get_client
  test('are shown one by one', async () => {
    const { certificate: cert, key } = makeCertificate({ name: 'localhost', dns: ['localhost'] })
    const context = createSecureContext({ cert, key })
    const tls = { contexts: { contextFor: () => context }, requestCertificate: false }
    await using server = await MqttServer.start({ tls, listener: { tls: true } })
    await using client = await MqttClient.connect(server.port, { rejectUnauthorized: false })
    await client.login({
      keepAlive: 30,
      will: { topic: 'gone' },
      properties: { receiveMaximum: 7, maximumPacketSize: 1000, topicAliasMaximum: 3 },
    })
    await client.subscribe('a')
    const args = ['juliet', 'localhost', 'test']
    const shown = await details(server, 'mqtt_get_client', args)
    assert.equal(shown['connection'], 'mqtt_tls')
    assert.equal(shown['tls'], 'TLSv1.3')
    assert.equal(shown['keep_alive'], '30')
    assert.equal(shown['receive_maximum'], '7')
    assert.equal(shown['maximum_packet_size'], '1000')
    assert.equal(shown['topic_alias_maximum'], '3')
    assert.equal(shown['subscriptions'], '1')
    assert.equal(shown['will'], 'gone')
    assert.ok(Number(shown['bytes_in']) > 0 && Number(shown['bytes_out']) > 0)
    const unknown = ['juliet', 'localhost', 'other']
    assert.equal(await failure(server, 'mqtt_get_client', unknown), 'not_found: unknown_session')
  })

  // shows: command mqtt_kick_client
  test('are disconnected by account, by client identifier, or by both', async () => {
    await using server = await MqttServer.start()
    const all = new Map<string, MqttClient>()
    for (const userName of ['juliet', 'romeo']) {
      for (const clientId of ['1', '2', '3']) {
        all.set(`${userName}/${clientId}`, await server.login({ userName, clientId }))
      }
    }
    const gone = async (name: string, reason: string): Promise<void> => {
      const packet = await (all.get(name) ?? assert.fail(name)).receive('disconnect')
      assert.equal(packet.reasonCode, ReasonCode.administrativeAction)
      assert.equal(packet.properties.reasonString, reason)
    }
    const kick = (...args: readonly string[]): Promise<CommandValue> =>
      run(server, 'mqtt_kick_client', args)
    assert.equal(await kick('juliet', 'localhost', '1', 'Maintenance'), 1)
    await gone('juliet/1', 'Maintenance')
    assert.equal(await kick('', 'localhost', '2', ''), 2)
    await gone('juliet/2', 'Kicked by administrator')
    await gone('romeo/2', 'Kicked by administrator')
    assert.equal(await kick('romeo', 'localhost', '', 'x'), 2)
    assert.equal(await kick('romeo', 'localhost', '', 'x'), 0)
    assert.equal(await kick('\0', 'localhost', '', 'x'), 0)
    assert.match(
      await failure(server, 'mqtt_kick_client', ['', 'localhost', '', '']),
      /^error: Either/,
    )
    await all.get('juliet/3')?.hearsNothing()
  })
})

suite('sessions', () => {
  // shows: command mqtt_list_sessions
  // shows: command mqtt_get_session
  test('are listed and shown, connected or not', async () => {
    await using server = await MqttServer.start()
    await using _client = await server.login({ userName: 'romeo', clientId: 'here' })
    await using away = await server.login({
      ...lasting,
      will: { topic: 'w', properties: { willDelayInterval: 50 } },
    })
    await away.subscribe('a', { qos: 1 })
    away.drop()
    await using publisher = await server.login({ clientId: 'p' })
    while (
      (await details(server, 'mqtt_get_session', ['juliet', 'localhost', 'l']))['connected'] ===
      'true'
    ) {
      await publisher.hearsNothing()
    }
    const leftAt = server.clock.now()
    await publisher.publish('a', 'x', { qos: 1 })
    await publisher.publish('a', 'y', { qos: 1 })
    await publisher.disconnect()
    const list = await rows(server, 'mqtt_list_sessions', ['localhost', '', 10])
    const bytes = 2 * (1 + 1 + 160)
    assert.deepEqual(list, [
      {
        jid: 'juliet@localhost/l',
        user: 'juliet',
        client_id: 'l',
        connected: 'false',
        expiry: '100',
        ends: new Date(leftAt + 100_000).toISOString(),
        subscriptions: 1,
        queued: 2,
        inflight: 0,
        bytes,
      },
      {
        jid: 'romeo@localhost/here',
        user: 'romeo',
        client_id: 'here',
        connected: 'true',
        expiry: '0',
        ends: '',
        subscriptions: 0,
        queued: 0,
        inflight: 0,
        bytes: 0,
      },
    ])
    const shown = await details(server, 'mqtt_get_session', ['juliet', 'localhost', 'l'])
    assert.equal(shown['stored'], 'true')
    assert.equal(shown['queued'], '2')
    assert.equal(shown['disconnected'], new Date(leftAt).toISOString())
    assert.equal(shown['will'], 'w')
    assert.equal(shown['will_due'], new Date(leftAt + 50_000).toISOString())
    assert.equal(
      await failure(server, 'mqtt_get_client', ['juliet', 'localhost', 'l']),
      'not_found: not_connected',
    )
    const next = ['localhost', 'juliet@localhost/l', 1]
    assert.deepEqual(await column(server, 'mqtt_list_sessions', next, 'client_id'), ['here'])
  })

  // shows: command mqtt_delete_session
  test('are ended for good', async () => {
    await using server = await MqttServer.start()
    await using away = await server.login(lasting)
    await away.subscribe('a', { qos: 1 })
    await away.disconnect()
    await using here = await server.login({ ...lasting, clientId: 'here' })
    for (const id of ['l', 'here']) {
      assert.equal(await run(server, 'mqtt_delete_session', ['juliet', 'localhost', id]), 0)
    }
    assert.equal((await here.receive('disconnect')).reasonCode, ReasonCode.administrativeAction)
    assert.equal(server.metric('linnet_mqtt_sessions'), 0)
    assert.equal(
      await failure(server, 'mqtt_delete_session', ['juliet', 'localhost', 'l']),
      'not_found: unknown_session',
    )
    // Nor does a restart bring them back.
    await using next = await MqttServer.start({ file: await server.crash(), clock: server.clock })
    assert.equal(next.metric('linnet_mqtt_sessions'), 0)
  })
})

suite('subscriptions', () => {
  // shows: command mqtt_list_subscriptions
  test('are listed by client', async () => {
    await using server = await MqttServer.start()
    await using client = await server.login()
    await client.subscribe('b/#', { qos: 1, identifier: 7, noLocal: true })
    await client.subscribe('a', { qos: 0, retainAsPublished: true })
    await client.subscribe('$share/g/c', { qos: 2 })
    const args = ['juliet', 'localhost', 'test', '', 2]
    assert.deepEqual(await rows(server, 'mqtt_list_subscriptions', args), [
      {
        filter: '$share/g/c',
        qos: 2,
        no_local: 'false',
        retain_as_published: 'false',
        identifier: 0,
      },
      { filter: 'a', qos: 0, no_local: 'false', retain_as_published: 'true', identifier: 0 },
    ])
    const next = ['juliet', 'localhost', 'test', 'a', 2]
    assert.deepEqual(await rows(server, 'mqtt_list_subscriptions', next), [
      { filter: 'b/#', qos: 1, no_local: 'true', retain_as_published: 'false', identifier: 7 },
    ])
  })

  // shows: command mqtt_list_subscribers
  test('are listed by filter', async () => {
    await using server = await MqttServer.start()
    await using one = await server.login({ clientId: '1' })
    await using two = await server.login({ clientId: '2' })
    for (const filter of ['home/+/lamp', 'home/#', 'other']) await one.subscribe(filter)
    for (const filter of ['home/kitchen/lamp', '$share/g/home/#']) await two.subscribe(filter)
    const listed = async (filter: string, after = '', limit = 10): Promise<string[]> => {
      const list = await rows(server, 'mqtt_list_subscribers', ['localhost', filter, after, limit])
      return list.map(({ jid: own, filter: text }) => `${String(own)}\t${String(text)}`)
    }
    const all = [
      'juliet@localhost/1\thome/#',
      'juliet@localhost/1\thome/+/lamp',
      'juliet@localhost/2\t$share/g/home/#',
      'juliet@localhost/2\thome/kitchen/lamp',
    ]
    assert.deepEqual(await listed('home/#'), all)
    assert.deepEqual(await listed('home/+/lamp'), [all[1], all[3]])
    assert.deepEqual(await listed('$share/g/home/#'), [all[2]])
    assert.deepEqual(await listed('home/kitchen/lamp'), [all[3]])
    assert.deepEqual(await listed('home/#', all[0], 2), [all[1], all[2]])
    assert.equal((await listed('#')).length, 5)
    assert.match(
      await failure(server, 'mqtt_list_subscribers', ['localhost', 'a/#/b', '', 1]),
      /is no topic filter/,
    )
  })
})

suite('retained messages', () => {
  // shows: command mqtt_list_retained
  test('are listed by filter, in pages', async () => {
    await using server = await MqttServer.start()
    await using client = await server.login()
    const since = new Date(server.clock.now()).toISOString()
    await client.publish('home/b', 'four', { qos: 2, retain: true })
    await client.publish('home/a', 'x', {
      qos: 1,
      retain: true,
      properties: { messageExpiryInterval: 60 },
    })
    await client.publish('other', 'x', { qos: 1, retain: true })
    const list = (filter: string, after: string, limit: number) =>
      rows(server, 'mqtt_list_retained', ['localhost', filter, after, limit])
    assert.deepEqual(await list('home/+', '', 10), [
      {
        topic: 'home/a',
        size: 1,
        qos: 1,
        since,
        expires: new Date(server.clock.now() + 60_000).toISOString(),
      },
      { topic: 'home/b', size: 4, qos: 2, since, expires: '' },
    ])
    assert.deepEqual(
      await column(server, 'mqtt_list_retained', ['localhost', '#', 'home/a', 1], 'topic'),
      ['home/b'],
    )
    server.clock.advance(60_000)
    assert.deepEqual(
      (await list('#', '', 10)).map(({ topic }) => topic),
      ['home/b', 'other'],
    )
    // The table knows no time: what was there before the start has none.
    await using next = await MqttServer.start({ file: await server.crash(), clock: server.clock })
    const [old] = await rows(next, 'mqtt_list_retained', ['localhost', 'other', '', 1])
    assert.equal(old?.['since'], '')
  })

  // shows: command mqtt_get_retained
  test('are shown with payload and properties', async () => {
    await using server = await MqttServer.start()
    await using client = await server.login()
    await client.publish('text', 'grüße', {
      qos: 1,
      retain: true,
      properties: {
        payloadFormatIndicator: 1,
        messageExpiryInterval: 60,
        contentType: 'text/plain',
        responseTopic: 'answer',
        correlationData: Buffer.from([1, 2]),
        userProperties: [
          ['unit', 'C'],
          ['unit', 'a=b'],
        ],
      },
    })
    await client.publish('bytes', Buffer.from([0xff, 0x00]), { qos: 1, retain: true })
    const get = async (topic: string): Promise<readonly CommandValue[]> => {
      const value = await run(server, 'mqtt_get_retained', ['localhost', topic])
      return Array.isArray(value) ? value : assert.fail('no tuple')
    }
    const since = new Date(server.clock.now()).toISOString()
    assert.deepEqual(await get('text'), [
      'text',
      7,
      1,
      since,
      new Date(server.clock.now() + 60_000).toISOString(),
      'text',
      'grüße',
      [
        ['payload_format_indicator', '1'],
        ['message_expiry_interval', '60'],
        ['content_type', 'text/plain'],
        ['response_topic', 'answer'],
        ['correlation_data', 'AQI='],
        ['user_property', 'unit=C'],
        ['user_property', 'unit=a=b'],
      ],
    ])
    assert.deepEqual(await get('bytes'), ['bytes', 2, 1, since, '', 'base64', '/wA=', []])
    assert.equal(
      await failure(server, 'mqtt_get_retained', ['localhost', 'none']),
      'not_found: not_retained',
    )
    server.clock.advance(60_000)
    assert.equal(
      await failure(server, 'mqtt_get_retained', ['localhost', 'text']),
      'not_found: not_retained',
    )
    assert.match(await failure(server, 'mqtt_get_retained', ['localhost', 'a/#']), /no topic name/)
  })

  // shows: command mqtt_delete_retained
  test('are deleted by topic and by filter, also on disk', async () => {
    await using server = await MqttServer.start()
    await using client = await server.login()
    const topics = ['a', 'a/b', 'a/b/c', 'b']
    for (const topic of topics) await client.publish(topic, 'x', { qos: 1, retain: true })
    const remove = (filter: string): Promise<CommandValue> =>
      run(server, 'mqtt_delete_retained', ['localhost', filter])
    assert.equal(await remove('a/b/c'), 1)
    assert.equal(await remove('a/b/c'), 0)
    await client.subscribe('#', { retainHandling: 2 })
    assert.equal(await remove('a/#'), 2)
    assert.equal(await remove('$SYS/#'), 0)
    await client.hearsNothing()
    await using next = await MqttServer.start({ file: await server.crash(), clock: server.clock })
    const left = await column(next, 'mqtt_list_retained', ['localhost', '#', '', 10], 'topic')
    assert.deepEqual(left, ['b'])
  })

  test('of great number hold nobody up', async () => {
    await using server = await MqttServer.start({ module: { db_type: 'ram' } })
    await using client = await server.login()
    const count = 20_000
    client.sendAll(
      Array.from({ length: count }, (_, i) => ({
        kind: 'publish',
        dup: false,
        qos: 0,
        retain: true,
        topic: `t/${i}`,
        packetId: 0,
        payload: Buffer.from('x'),
        properties: {},
      })),
    )
    await client.hearsNothing()
    // Turns that others had meanwhile: a listing takes at most a tenth of everything at once.
    for (const [name, args] of [
      ['mqtt_list_retained', ['localhost', '#', '', 10_000]],
      ['mqtt_delete_retained', ['localhost', '#']],
    ] as const) {
      let turns = 0
      let isDone = false
      const spin = (): void => {
        if (isDone) return
        turns += 1
        setImmediate(spin)
      }
      spin()
      const value = await run(server, name, args)
      isDone = true
      assert.equal(
        Array.isArray(value) ? value.length : value,
        Array.isArray(value) ? 10_000 : count,
      )
      assert.ok(turns >= 10, `${name}: ${turns} turns`)
    }
    assert.equal(server.metric('linnet_mqtt_retained'), 0)
  })
})

suite('mqtt_publish', () => {
  // shows: command mqtt_publish
  test('publishes with everything that a message has', async () => {
    await using server = await MqttServer.start()
    await using client = await server.login()
    await client.subscribe('a')
    const properties = [
      ['payload_format_indicator', '1'],
      ['message_expiry_interval', '60'],
      ['content_type', 'text/plain'],
      ['response_topic', 'answer'],
      ['correlation_data', 'AQI='],
      ['user_property', 'unit=C'],
      ['user_property', 'unit=a=b'],
    ]
    const args = ['localhost', 'a', 'grüße', 'text', 2, 'true', properties]
    assert.equal(await run(server, 'mqtt_publish', args), 'Published')
    const received = await client.receiveMessage()
    assert.equal(received.text, 'grüße')
    assert.equal(received.qos, 2)
    assert.deepEqual(
      { ...received.properties, correlationData: [...(received.properties.correlationData ?? [])] },
      {
        payloadFormatIndicator: 1,
        messageExpiryInterval: 60,
        contentType: 'text/plain',
        responseTopic: 'answer',
        correlationData: [1, 2],
        userProperties: [
          ['unit', 'C'],
          ['unit', 'a=b'],
        ],
      },
    )
    assert.equal(
      await run(server, 'mqtt_publish', ['localhost', 'b', '/wA=', 'base64', 0, 'false', []]),
      'Published, to nobody',
    )
    // On disk by now, under the name of whoever published it.
    await using next = await MqttServer.start({ file: await server.crash(), clock: server.clock })
    assert.deepEqual(await column(next, 'mqtt_list_retained', ['localhost', '#', '', 9], 'topic'), [
      'a',
    ])
  })

  test('waits for the commit, and says when there was none', async () => {
    const disk = new FaultyStore()
    await using server = await MqttServer.start({ wrapStore: (store) => disk.wrap(store) })
    using _disk = disk
    await using client = await server.login({ clientId: 'other' })
    await using away = await server.login(lasting)
    await away.subscribe('a', { qos: 1 })
    await away.disconnect()
    const args = ['localhost', 'a', 'x', 'text', 1, 'true', []]
    disk.isClosed = true
    let isDone = false
    const published = run(server, 'mqtt_publish', args).finally(() => {
      isDone = true
    })
    await client.hearsNothing()
    assert.equal(isDone, false)
    disk.open()
    assert.equal(await published, 'Published')
    disk.fails = true
    assert.equal(
      await failure(server, 'mqtt_publish', ['localhost', 'a', 'y', 'text', 1, 'true', []]),
      'error: The server cannot store messages',
    )
    disk.fails = false
    await using next = await MqttServer.start({ file: await server.crash(), clock: server.clock })
    assert.equal(next.metric('linnet_mqtt_queued'), 1)
    assert.equal(next.metric('linnet_mqtt_retained'), 1)
  })

  test('goes by access rules for an account, and is free for who runs the server', async () => {
    await using server = await MqttServer.start({
      module: { access_publish: { 'own/%u': 'all' } },
    })
    const publish = ['localhost', 'own/romeo', 'x', 'text', 0, 'false', []]
    assert.equal(await run(server, 'mqtt_publish', publish), 'Published, to nobody')
    const caller = (name: string): Caller => ({
      from: 'mod_http_api',
      jid: bareJid(jid(`${name}@localhost`)),
      ip: '127.0.0.1',
    })
    assert.equal(
      await run(server, 'mqtt_publish', publish, caller('romeo')),
      'Published, to nobody',
    )
    assert.match(
      await failure(server, 'mqtt_publish', publish, caller('juliet')),
      /^not_allowed: Publishing to "own\/romeo" is not allowed/,
    )
    assert.match(
      await failure(server, 'mqtt_publish', ['localhost', '$SYS/x', 'x', 'text', 0, 'false', []]),
      /^not_allowed: .*the server's own/,
    )
  })

  test('passes the hooks, and the limits of retained messages', async () => {
    await using server = await MqttServer.start({ module: { max_retained: 1 } })
    const args = (topic: string) => ['localhost', topic, 'x', 'text', 1, 'true', []]
    await run(server, 'mqtt_publish', args('a'))
    assert.equal(await failure(server, 'mqtt_publish', args('b')), 'error: Quota exceeded')
  })

  test('refuses what is no message', async () => {
    await using server = await MqttServer.start()
    const good = ['localhost', 'a', 'x', 'text', 0, 'false', []]
    for (const [at, value, message] of [
      [0, 'example.org', 'mod_mqtt does not run on "example.org"'],
      [1, 'a/#', '"a/#" is no topic name'],
      [2, 'x', undefined],
      [3, 'hex', 'The encoding must be "text" or "base64"'],
      [4, 3, 'The QoS must be 0, 1 or 2'],
      [5, 'maybe', 'Retain must be "true" or "false"'],
      [6, [['colour', 'red']], 'There is no property "colour" of messages'],
      [6, [['user_property', 'red']], 'The property "user_property" must be NAME=VALUE'],
      [
        6,
        [['payload_format_indicator', '2']],
        'The property "payload_format_indicator" must be 0 or 1',
      ],
      [
        6,
        [['message_expiry_interval', '-1']],
        'The property "message_expiry_interval" must be a number of seconds',
      ],
      [6, [['response_topic', '+']], 'The property "response_topic" must be a topic name'],
      [6, [['correlation_data', '!']], 'The property "correlation_data" must be Base64'],
      [
        6,
        [['content_type', '\0']],
        'The property "content_type" must be text of 65535 bytes at most',
      ],
    ] as const) {
      const args: CommandValue[] = [...good]
      args[at] = value
      if (message === undefined) await run(server, 'mqtt_publish', args)
      else assert.equal(await failure(server, 'mqtt_publish', args), `error: ${message}`)
    }
    const wrong = ['localhost', 'a', '!', 'base64', 0, 'false', []]
    assert.equal(await failure(server, 'mqtt_publish', wrong), 'error: The payload is not Base64')
    const bytes = [
      'localhost',
      'a',
      '/w==',
      'base64',
      0,
      'false',
      [['payload_format_indicator', '1']],
    ]
    assert.equal(await failure(server, 'mqtt_publish', bytes), 'error: The payload is no text')
  })
})

// shows: command mqtt_stats
test('the counters are told', async () => {
  await using server = await MqttServer.start()
  await using client = await server.login()
  await client.subscribe('a', { qos: 1 })
  await client.publish('a', 'x', { qos: 2 })
  const stats = await details(server, 'mqtt_stats', ['localhost'])
  assert.equal(stats['connections'], 1)
  assert.equal(stats['messages_received_qos2'], 1)
  assert.equal(stats['messages_sent_qos1'], 1)
  assert.equal(stats['inflight'], 1)
  // CONNECT, SUBSCRIBE, PUBLISH and PUBREL.
  assert.equal(stats['packets_received'], 4)
  assert.equal(stats['dropped_queue_full'], 0)
})

test('the shell has the commands', async () => {
  await using server = await TestServer.start({
    config: { hosts: ['localhost', 'example.org'], modules: { mod_mqtt: {} } },
  })
  assert.match(await server.ok('help', 'mqtt'), /mqtt_list_clients host after limit/)
  const publish = ['mqtt_publish', 'localhost', 'home/lamp', 'on', 'text', '1', 'true']
  const properties = 'content_type:text/plain,user_property:by=a:b'
  assert.equal(await server.ok(...publish, properties), 'Published, to nobody\n')
  assert.match(
    await server.ok('mqtt_list_retained', 'localhost', '#', '', '10'),
    /^home\/lamp\t2\t1\t20\S+\t\n$/,
  )
  assert.match(
    await server.ok('mqtt_get_retained', 'localhost', 'home/lamp'),
    /\ttext\ton\t.*user_property.*by=a:b/,
  )
  assert.equal(await server.ok('mqtt_list_retained', 'example.org', '#', '', '10'), '')
  const { exit, output } = await server.run('mqtt_get_retained', 'localhost', 'x')
  assert.deepEqual([exit, output], [1, '{not_found,"not_retained"}\n'])
})
