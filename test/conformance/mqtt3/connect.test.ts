import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { ReasonCode } from '../../../src/mqtt/packet/reason-code.ts'
import { MqttServer } from '../../support/mqtt-broker.ts'
import type { ConnectOptions } from '../../support/mqtt-client.ts'
import { connectPacket } from '../../support/mqtt-client.ts'
import { field, packet } from '../../support/mqtt-raw.ts'
import type { RawConnect } from './clients.ts'
import { credentials, flags, gone, login, loginToStay, rawConnect, stranger } from './clients.ts'

/** MQTT 3.1.1, 3.1 and 3.2: CONNECT and CONNACK. */

/** Sends these bytes first, which the server has to answer with nothing but the end. */
async function getsNoAnswer(server: MqttServer, first: Uint8Array): Promise<void> {
  await using client = await stranger(server)
  client.sendBytes(first)
  await client.closed()
}

async function isLetIn(server: MqttServer, connect: RawConnect): Promise<void> {
  await using client = await stranger(server)
  client.sendBytes(rawConnect(connect))
  assert.equal((await client.receive('connack')).reasonCode, 0)
  await client.hearsNothing()
}

/** What CONNACK says to a client that is turned away; the connection has to end then. */
async function refusal(server: MqttServer, options: ConnectOptions): Promise<number> {
  await using client = await server.connect()
  client.sendConnect({ version: 4, ...options })
  const { reasonCode, sessionPresent } = await client.receive('connack')
  assert.notEqual(reasonCode, 0)
  assert.equal(sessionPresent, false)
  await client.closed()
  return reasonCode
}

// shows: MQTT3 3.1.0-1
test('a connection that does not begin with CONNECT is ended', async () => {
  await using server = await MqttServer.start()
  for (const first of [
    packet(0xc0),
    packet(0x30, field('a'), '78'),
    packet(0x82, '0001', field('a'), '00'),
    packet(0xe0),
    Buffer.from('GET / HTTP/1.1\r\n\r\n'),
  ]) {
    await getsNoAnswer(server, first)
  }
})

// shows: MQTT3 3.1.0-2, 4.8.0-1
test('a second CONNECT ends the connection', async () => {
  await using server = await MqttServer.start()
  await using client = await login(server, 'twice')
  client.send(connectPacket({ version: 4, clientId: 'twice' }))
  await client.closed()
  await using pipelined = await stranger(server)
  const connect = connectPacket({ version: 4, clientId: 'pipelined' })
  pipelined.sendAll([connect, connect])
  await pipelined.receive('connack')
  await pipelined.closed()
})

suite('protocol name and level', () => {
  // shows: MQTT3 3.1.2-1, 3.1.2-2
  test('that are not known are refused with return code 1', async () => {
    await using server = await MqttServer.start()
    for (const [name, level] of [
      ['MQTX', 4],
      ['mqtt', 4],
      ['MQTT', 3],
      ['MQTT', 6],
      ['MQTT', 0],
      ['MQTT', 0x7f],
      ['MQIsdp', 4],
    ] as const) {
      await using client = await stranger(server)
      client.sendBytes(rawConnect({ name, level }))
      const { reasonCode, sessionPresent } = await client.receive('connack')
      assert.equal(reasonCode, ReasonCode.unsupportedProtocolVersion, `${name} ${level}`)
      assert.equal(sessionPresent, false)
      await client.closed()
    }
    await isLetIn(server, {})
  })
})

suite('connect flags', () => {
  // shows: MQTT3 3.1.2-3, 3.1.4-1
  test('with the reserved one set get no answer', async () => {
    await using server = await MqttServer.start()
    await getsNoAnswer(server, rawConnect({ flags: flags | 1 }))
  })

  // shows: MQTT3 3.1.2-11, 3.1.2-13, 3.1.2-15, 3.1.4-1
  test('of a will without a will get no answer', async () => {
    await using server = await MqttServer.start()
    for (const own of [0x08, 0x10, 0x20]) {
      await getsNoAnswer(server, rawConnect({ flags: flags | own }))
    }
  })

  // shows: MQTT3 3.1.2-14
  test('with a will of QoS 3 get no answer', async () => {
    await using server = await MqttServer.start()
    const payload = [field('id'), field('topic'), field('gone'), credentials]
    await getsNoAnswer(server, rawConnect({ flags: flags | 0x1c, payload }))
    for (const qos of [0, 1, 2]) await isLetIn(server, { flags: flags | 4 | (qos << 3), payload })
  })

  // shows: MQTT3 3.1.2-9, 3.1.2-11
  test('of a will decide about topic and message', async () => {
    await using server = await MqttServer.start()
    const will = [field('topic'), field('gone')]
    // Announced and not there, and there without being announced.
    await getsNoAnswer(server, rawConnect({ flags: 0x06, payload: [field('id')] }))
    await getsNoAnswer(server, rawConnect({ flags: 0x06, payload: [field('id'), field('topic')] }))
    await getsNoAnswer(server, rawConnect({ payload: [field('id'), credentials, ...will] }))
  })

  // shows: MQTT3 3.1.2-18, 3.1.2-19, 3.1.2-20, 3.1.2-21
  test('of user name and password decide about them', async () => {
    await using server = await MqttServer.start()
    const id = field('id')
    const name = field('juliet')
    for (const [own, payload] of [
      // A user name that was not announced, and one that is not there.
      [0x02, [id, name]],
      [0x82, [id]],
      // The same of a password.
      [0x82, [id, credentials]],
      [0xc2, [id, name]],
    ] as const) {
      await getsNoAnswer(server, rawConnect({ flags: own, payload }))
    }
  })

  // shows: MQTT3 3.1.2-22
  test('of a password without a user name get no answer', async () => {
    await using server = await MqttServer.start()
    const payload = [field('juliet'), field('secret')]
    await getsNoAnswer(server, rawConnect({ flags: 0x42, payload }))
  })

  // shows: MQTT3 3.1.3-1, 3.1.3-3
  test('announce fields that come in one order only', async () => {
    await using server = await MqttServer.start({ module: { access_publish: { will: 'all' } } })
    await using watcher = await login(server, 'watcher')
    await watcher.subscribe('will')
    const all = [field('id'), field('will'), field('last words'), credentials]
    await using client = await stranger(server)
    client.sendBytes(rawConnect({ flags: flags | 4, payload: all }))
    assert.equal((await client.receive('connack')).reasonCode, 0)
    assert.equal([...server.broker().listSessions()].at(-1)?.jid, 'juliet@localhost/id')
    client.drop()
    assert.equal((await watcher.receiveMessage()).text, 'last words')
    // A payload without its first field.
    await getsNoAnswer(server, rawConnect({ flags: 0x02, payload: [] }))
  })
})

// shows: MQTT3 3.1.4-1, 3.2.2-6
test('a CONNECT that breaks the rules gets no answer', async () => {
  await using server = await MqttServer.start()
  for (const bad of [
    // Flags in the fixed header, something behind the end, an end inside a field.
    Buffer.concat([Buffer.from([0x11]), rawConnect().subarray(1)]),
    rawConnect({ payload: [field('id'), credentials, '00'] }),
    rawConnect({ payload: [field('id'), field('juliet'), '00ff 61'] }),
    packet(0x10, field('MQTT'), '04'),
    packet(0x10),
    // There is no return code for a will that nobody can publish.
    rawConnect({ flags: flags | 4, payload: [field('id'), field('a/#'), field('x'), credentials] }),
    rawConnect({ flags: flags | 4, payload: [field('id'), field(''), field('x'), credentials] }),
  ]) {
    await getsNoAnswer(server, bad)
  }
})

suite('client identifiers', () => {
  // shows: MQTT3 3.1.3-5
  test('of 1 to 23 letters and digits are taken', async () => {
    await using server = await MqttServer.start()
    const letters = 'abcdefghijklmnopqrstuvwxyz'
    for (const id of [
      'a',
      '0',
      'Z',
      '0123456789',
      letters.slice(0, 23),
      letters.slice(-23),
      letters.toUpperCase().slice(0, 23),
      letters.toUpperCase().slice(-23),
    ]) {
      await using client = await login(server, id)
      await client.hearsNothing()
    }
  })

  // shows: MQTT3 3.1.3-2
  test('name the session: those of two clients do not meet', async () => {
    await using server = await MqttServer.start()
    for (const id of ['one', 'two']) {
      await using client = await loginToStay(server, id)
      await client.subscribe(id, { qos: 1 })
      await client.disconnect()
    }
    await using publisher = await login(server, 'from')
    await publisher.publish('one', 'first', { qos: 1 })
    await publisher.publish('two', 'second', { qos: 1 })
    await using client = await loginToStay(server, 'two')
    assert.equal((await client.receiveMessage()).text, 'second')
    await client.hearsNothing()
  })

  // shows: MQTT3 3.1.3-6
  test('that are left out are chosen by the server, each another', async () => {
    await using server = await MqttServer.start()
    await using one = await login(server, '')
    await using two = await login(server, '')
    await one.subscribe('a', { qos: 1 })
    await two.publish('a', 'x', { qos: 1 })
    assert.equal((await one.receiveMessage()).text, 'x')
    await two.hearsNothing()
    assert.equal(new Set([...server.broker().listSessions()].map(({ jid }) => jid)).size, 2)
  })

  // shows: MQTT3 3.1.3-7, 3.1.3-8, 3.2.2-5
  test('must not be left out by who wants the session to stay', async () => {
    await using server = await MqttServer.start()
    const reason = await refusal(server, { clientId: '', cleanStart: false })
    assert.equal(reason, ReasonCode.clientIdentifierNotValid)
  })

  // shows: MQTT3 3.1.3-9
  test('that the server does not take are refused with return code 2', async () => {
    await using server = await MqttServer.start()
    for (const clientId of ['a\u0007b', 'x'.repeat(1024)]) {
      assert.equal(await refusal(server, { clientId }), ReasonCode.clientIdentifierNotValid)
    }
  })
})

// shows: MQTT3 3.1.4-2
test('a client that connects again takes the place of the older connection', async () => {
  await using server = await MqttServer.start()
  for (const cleanStart of [true, false]) {
    await using older = await login(server, 'same', { cleanStart })
    await using newer = await login(server, 'same', { cleanStart })
    await older.closed()
    await newer.hearsNothing()
  }
})

// shows: MQTT3 3.1.4-4, 3.2.0-1
test('a client that is let in is told so before anything else', async () => {
  await using server = await MqttServer.start()
  await using client = await loginToStay(server, 'late')
  await client.subscribe('a', { qos: 1 })
  await client.disconnect()
  await using publisher = await login(server, 'from')
  await publisher.publish('a', 'waits', { qos: 1 })
  await using back = await server.connect()
  back.speak(4)
  back.sendAll([
    connectPacket({ version: 4, clientId: 'late', cleanStart: false }),
    { kind: 'pingreq' },
  ])
  await publisher.publish('a', 'comes', { qos: 1 })
  const connack = await back.receive('connack')
  assert.deepEqual([connack.reasonCode, connack.sessionPresent], [0, true])
})

// shows: MQTT3 3.1.4-5
test('nothing is done with what follows a CONNECT that is refused', async () => {
  await using server = await MqttServer.start()
  await using client = await stranger(server)
  const message = packet(0x31, field('a'), '78')
  const connect = rawConnect({ payload: [field('id'), field('juliet'), field('wrong')] })
  client.sendBytes(Buffer.concat([connect, message]))
  assert.equal((await client.receive('connack')).reasonCode, ReasonCode.badUserNameOrPassword)
  client.sendBytes(message)
  await client.closed()
  await using malformed = await stranger(server)
  malformed.sendBytes(Buffer.concat([rawConnect({ level: 9 }), message]))
  await malformed.receive('connack')
  await malformed.closed()
  await using reader = await login(server, 'reader')
  await reader.subscribe('a')
  await reader.hearsNothing()
})

// shows: MQTT3 3.2.2-1, 3.2.2-2, 3.2.2-3, 3.1.4-3
test('Session Present says whether there is something to go on with', async () => {
  await using server = await MqttServer.start()
  const presence = async (cleanStart: boolean): Promise<boolean> => {
    await using client = await server.connect()
    const { sessionPresent } = await client.login({ version: 4, clientId: 'x', cleanStart })
    await client.disconnect()
    return sessionPresent
  }
  assert.equal(await presence(false), false)
  assert.equal(await presence(false), true)
  assert.equal(await presence(true), false)
  assert.equal(await presence(true), false)
  assert.equal(await presence(false), false)
})

// shows: MQTT3 3.2.2-4, 3.2.2-5
test('a client that is turned away hears of no session, and the connection ends', async () => {
  await using server = await MqttServer.start()
  await using client = await loginToStay(server, 'x')
  await client.disconnect()
  const stay = { clientId: 'x', cleanStart: false }
  assert.equal(
    await refusal(server, { ...stay, password: 'wrong' }),
    ReasonCode.badUserNameOrPassword,
  )
  assert.equal(
    await refusal(server, { ...stay, userName: 'juliet@elsewhere.example' }),
    ReasonCode.serverUnavailable,
  )
})

suite('keep alive', () => {
  // shows: MQTT3 3.1.2-24
  test('ends a connection that is silent for one and a half times as long, will and all', async () => {
    await using server = await MqttServer.start()
    await using watcher = await login(server, 'watcher')
    await watcher.subscribe('will')
    await using client = await login(server, 'silent', { keepAlive: 10, will: { topic: 'will' } })
    server.clock.advance(14_000)
    await client.hearsNothing()
    server.clock.advance(14_000)
    client.sendPublish('a', 'any packet counts')
    await client.hearsNothing()
    server.clock.advance(18_000)
    await client.closed()
    assert.equal((await watcher.receiveMessage()).text, 'gone')
  })

  // shows: MQTT3 3.1.2-24
  test('of 0 lets a client be silent', async () => {
    await using server = await MqttServer.start()
    await using client = await login(server, 'silent')
    server.clock.advance(100_000_000)
    await client.hearsNothing()
  })
})

suite('a will', () => {
  // shows: MQTT3 3.1.2-8, 3.1.2-10
  test('is published once when the connection ends without DISCONNECT', async () => {
    await using server = await MqttServer.start()
    await using watcher = await login(server, 'watcher')
    await watcher.subscribe('will', { qos: 2 })
    const will = { topic: 'will', qos: 1, payload: Buffer.from('last words') } as const
    await using client = await login(server, 'mortal', { cleanStart: false, will })
    await watcher.hearsNothing()
    client.drop()
    const received = await watcher.receiveMessage()
    assert.deepEqual([received.text, received.qos], ['last words', 1])
    // The session stays, the will does not.
    await using back = await loginToStay(server, 'mortal')
    back.drop()
    await gone(server, 'mortal')
    await watcher.hearsNothing()
  })

  // shows: MQTT3 3.1.2-8
  test('is published when the server ends the connection', async () => {
    await using server = await MqttServer.start()
    await using watcher = await login(server, 'watcher')
    await watcher.subscribe('will')
    await using client = await login(server, 'mortal', { will: { topic: 'will' } })
    client.sendBytes(Buffer.from([0xf0, 0]))
    await client.closed()
    assert.equal((await watcher.receiveMessage()).text, 'gone')
    await using older = await login(server, 'mortal', { will: { topic: 'will' } })
    await using newer = await login(server, 'mortal')
    await older.closed()
    await newer.hearsNothing()
    assert.equal((await watcher.receiveMessage()).text, 'gone')
  })

  // shows: MQTT3 3.1.2-8
  test('of a client that was refused is not published', async () => {
    await using server = await MqttServer.start()
    await using watcher = await login(server, 'watcher')
    await watcher.subscribe('will')
    await refusal(server, { clientId: 'mortal', password: 'wrong', will: { topic: 'will' } })
    await watcher.hearsNothing()
  })

  // shows: MQTT3 3.1.2-10, 3.14.4-3
  test('is forgotten at DISCONNECT', async () => {
    await using server = await MqttServer.start()
    await using watcher = await login(server, 'watcher')
    await watcher.subscribe('will')
    for (const cleanStart of [true, false]) {
      await using client = await login(server, 'mortal', { cleanStart, will: { topic: 'will' } })
      await client.disconnect()
      await watcher.hearsNothing()
    }
  })

  // shows: MQTT3 3.1.2-12
  test('is published by nobody who has none', async () => {
    await using server = await MqttServer.start()
    await using watcher = await login(server, 'watcher')
    await watcher.subscribe('#')
    await using client = await login(server, 'mortal')
    client.drop()
    await gone(server, 'mortal')
    await watcher.hearsNothing()
  })

  // shows: MQTT3 3.1.2-16, 3.1.2-17
  test('is retained if it says so', async () => {
    await using server = await MqttServer.start()
    for (const retain of [false, true]) {
      const will = { topic: `will/${retain}`, retain }
      await using client = await login(server, 'mortal', { will })
      client.drop()
      await gone(server, 'mortal')
    }
    await using reader = await login(server, 'reader')
    await reader.subscribe('will/+')
    const received = await reader.receiveMessage()
    assert.deepEqual([received.topic, received.retain], ['will/true', true])
    await reader.hearsNothing()
  })
})

// shows: MQTT3 3.14.4-1, 3.14.4-2
test('nothing counts behind DISCONNECT, and the server closes if the client does not', async () => {
  await using server = await MqttServer.start()
  await using client = await login(server, 'leaving')
  client.sendBytes(Buffer.concat([packet(0xe0), packet(0x31, field('a'), '78')]))
  await client.closed()
  await using reader = await login(server, 'reader')
  await reader.subscribe('a')
  await reader.hearsNothing()
})

// shows: MQTT3 3.12.4-1
test('a ping is answered', async () => {
  await using server = await MqttServer.start()
  await using client = await login(server, 'client')
  client.sendBytes(Buffer.concat([packet(0xc0), packet(0xc0)]))
  await client.receive('pingresp')
  await client.receive('pingresp')
  await client.hearsNothing()
})
