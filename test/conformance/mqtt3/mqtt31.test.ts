import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import { test } from 'node:test'
import type { ProtocolVersion } from '../../../src/mqtt/packet/packet-type.ts'
import { ReasonCode } from '../../../src/mqtt/packet/reason-code.ts'
import { MqttServer } from '../../support/mqtt-broker.ts'
import type { MqttClient } from '../../support/mqtt-client.ts'
import { field, packet } from '../../support/mqtt-raw.ts'
import { credentials, flags, gone, login, rawConnect, texts } from './clients.ts'
import type { RawConnect } from './clients.ts'

/** Where MQTT 3.1 is another protocol than 3.1.1. Its rules have no numbers; these are those of the table of differences. */

/** Sends a CONNECT of MQTT 3.1 and expects to be let in. */
async function enter(server: MqttServer, options: RawConnect = {}): Promise<MqttClient> {
  const client = await server.connect()
  client.speak(3)
  client.sendBytes(rawConnect({ name: 'MQIsdp', level: 3, ...options }))
  assert.equal((await client.receive('connack')).reasonCode, 0)
  return client
}

// shows: MQTT31 3.1-1
test('is called MQIsdp and has level 3', async () => {
  await using server = await MqttServer.start()
  await using client = await enter(server)
  await client.hearsNothing()
  for (const [name, level] of [
    ['MQIsdp', 4],
    ['MQTT', 3],
    ['MQIsdp', 2],
  ] as const) {
    await using other = await server.connect()
    other.speak(3)
    other.sendBytes(rawConnect({ name, level }))
    const { reasonCode } = await other.receive('connack')
    assert.equal(reasonCode, ReasonCode.unsupportedProtocolVersion)
    await other.closed()
  }
})

// shows: MQTT31 3.1-2
test('client identifiers may be longer than 23 characters, but not empty', async () => {
  await using server = await MqttServer.start()
  for (const id of ['a', 'x'.repeat(23), 'x'.repeat(24), 'y'.repeat(200)]) {
    await using client = await enter(server, { payload: [field(id), credentials] })
    await client.hearsNothing()
  }
  await using client = await server.connect()
  client.speak(3)
  client.sendBytes(rawConnect({ name: 'MQIsdp', level: 3, payload: [field(''), credentials] }))
  assert.equal((await client.receive('connack')).reasonCode, ReasonCode.clientIdentifierNotValid)
  await client.closed()
})

// shows: MQTT31 3.1-3
test('credentials that the packet has no room for are not there, whatever the flags say', async () => {
  await using server = await MqttServer.start()
  server.accounts.add('lamp@localhost')
  // The client identifier is the user then, and has no password: refused, but not malformed.
  await using nobody = await server.connect()
  nobody.speak(3)
  nobody.sendBytes(rawConnect({ name: 'MQIsdp', level: 3, payload: [field('lamp')] }))
  assert.equal((await nobody.receive('connack')).reasonCode, ReasonCode.badUserNameOrPassword)
  await using half = await server.connect()
  half.speak(3)
  half.sendBytes(
    rawConnect({ name: 'MQIsdp', level: 3, payload: [field('lamp'), field('juliet')] }),
  )
  assert.equal((await half.receive('connack')).reasonCode, ReasonCode.badUserNameOrPassword)
})

// shows: MQTT31 3.1-4
test('flags that mean nothing are not looked at', async () => {
  await using server = await MqttServer.start()
  // Reserved, will QoS and retain without a will.
  for (const own of [0x01, 0x08, 0x18, 0x20]) {
    await using client = await enter(server, { flags: flags | own })
    await client.hearsNothing()
  }
})

// shows: MQTT31 2.1-1
test('reserved flags of the fixed header, and DUP, are not looked at', async () => {
  await using server = await MqttServer.start()
  await using client = await enter(server)
  client.sendBytes(packet(0x8a, '0001', field('a'), '02'))
  assert.deepEqual((await client.receive('suback')).reasonCodes, [2])
  client.sendBytes(packet(0x34, field('a'), '0002', '78'))
  const { packetId } = await client.receive('publish')
  await client.receive('pubrec')
  client.sendBytes(packet(0x6a, '0002'))
  await client.receive('pubcomp')
  client.sendBytes(packet(0x5f, Buffer.from([packetId >> 8, packetId & 0xff])))
  await client.receive('pubrel')
  client.sendBytes(packet(0xaa, '0003', field('a')))
  await client.receive('unsuback')
  client.sendBytes(packet(0xcf))
  await client.receive('pingresp')
})

// shows: MQTT31 2.1-2
test('DUP at QoS 0 is taken, and not handed on', async () => {
  await using server = await MqttServer.start()
  await using subscriber = await login(server, 'to')
  await subscriber.subscribe('a')
  await using client = await enter(server)
  client.sendBytes(packet(0x38, field('a'), '78'))
  const received = await subscriber.receiveMessage()
  assert.deepEqual([received.text, received.dup], ['x', false])
})

// shows: MQTT31 3.8-1
test('unused bits beside the requested QoS are not looked at, QoS 3 is none', async () => {
  await using server = await MqttServer.start()
  await using client = await enter(server)
  client.sendBytes(packet(0x82, '0001', field('a'), 'fd'))
  assert.deepEqual((await client.receive('suback')).reasonCodes, [1])
  client.sendBytes(packet(0x82, '0002', field('a'), '03'))
  await client.closed()
})

// shows: MQTT31 3.8-2
test('a subscription that is refused is told in the words of 3.1.1', async () => {
  await using server = await MqttServer.start({ module: { access_subscribe: { a: 'all' } } })
  await using client = await enter(server)
  client.sendBytes(packet(0x82, '0001', field('a'), '01', field('b'), '01'))
  assert.deepEqual((await client.receive('suback')).reasonCodes, [1, 0x80])
})

// shows: MQTT31 3.2-1
test('CONNACK does not tell whether there was a session', async () => {
  await using server = await MqttServer.start()
  for (let i = 0; i < 2; i++) {
    // The decoder of the tests would not look at that byte.
    const socket = connect({ port: server.port, host: '127.0.0.1' })
    socket.write(rawConnect({ name: 'MQIsdp', level: 3, flags: 0xc0 }))
    const [connack] = (await once(socket, 'data')) as [Buffer] // of a socket without encoding
    assert.deepEqual([...connack], [0x20, 2, 0, 0])
    socket.destroy()
    await gone(server, 'raw')
    assert.equal(server.metric('linnet_mqtt_sessions'), 1)
  }
})

// shows: MQTT31 4.2-1
test('what is not acknowledged comes again on the next connection, and not before', async () => {
  await using server = await MqttServer.start()
  const stay = { flags: 0xc0, payload: [field('to'), credentials] }
  await using client = await enter(server, stay)
  client.sendBytes(packet(0x82, '0001', field('a'), '01'))
  await client.receive('suback')
  await using publisher = await login(server, 'from')
  await publisher.publish('a', 'x', { qos: 1 })
  const { packetId } = await client.receive('publish')
  server.clock.advance(3_600_000)
  await client.hearsNothing()
  client.drop()
  await gone(server, 'to')
  await using back = await enter(server, stay)
  const again = await back.receive('publish')
  assert.deepEqual([again.packetId, again.dup], [packetId, true])
})

// shows: MQTT31 1-1
test('clients of all versions meet', async () => {
  await using server = await MqttServer.start()
  const versions: readonly ProtocolVersion[] = [3, 4, 5]
  for (const version of versions) {
    await using client = await server.login({ version, clientId: 'to' })
    await client.subscribe('a')
    for (const other of versions) {
      await using publisher = await server.login({ version: other, clientId: 'from' })
      for (const qos of [0, 1, 2] as const) await publisher.publish('a', `${qos}`, { qos })
      assert.deepEqual(await texts(client, 3), ['0', '1', '2'])
    }
  }
})
