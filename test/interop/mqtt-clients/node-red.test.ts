import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { freePort } from '../../support/ejabberd.ts'
import { FieldServer } from '../../support/field-server.ts'
import { JsClient } from '../../support/mqtt-js.ts'
import { NodeRed, noNodeRed } from '../../support/node-red.ts'
import { Folder } from '../../support/process.ts'

const options = { skip: noNodeRed }

/** Birth, close and will, as one enters them into the connection's dialogue. */
const lastWords = {
  birthTopic: 'nodered/status',
  birthPayload: 'online',
  birthQos: '1',
  birthRetain: 'true',
  closeTopic: 'nodered/status',
  closePayload: 'closed',
  closeQos: '1',
  closeRetain: 'true',
  willTopic: 'nodered/status',
  willPayload: 'lost',
  willQos: '1',
  willRetain: 'true',
}

/** Takes temperatures in Celsius and gives them in Kelvin, under another topic. */
const kelvin = [
  {
    id: 'in',
    type: 'mqtt in',
    topic: 'celsius/+',
    qos: '2',
    datatype: 'utf8',
    broker: 'broker',
    nl: false,
    rap: true,
    rh: 0,
    wires: [['convert']],
  },
  {
    id: 'convert',
    type: 'function',
    func: `
      msg.topic = msg.topic.replace('celsius', 'kelvin')
      msg.payload = String(Number(msg.payload) + 273.15)
      return msg`,
    outputs: 1,
    wires: [['out']],
  },
  { id: 'out', type: 'mqtt out', topic: '', qos: '', retain: '', broker: 'broker', wires: [] },
] as const

/** Answers requests where the request says. */
const service = [
  {
    id: 'requests',
    type: 'mqtt in',
    topic: 'requests/#',
    qos: '1',
    datatype: 'json',
    broker: 'broker',
    wires: [['answer']],
  },
  {
    id: 'answer',
    type: 'function',
    func: `
      return {
        topic: msg.responseTopic,
        payload: { sum: msg.payload.a + msg.payload.b },
        correlationData: msg.correlationData,
        userProperties: msg.userProperties,
        contentType: 'application/json',
        qos: 1,
      }`,
    outputs: 1,
    wires: [['answers']],
  },
  { id: 'answers', type: 'mqtt out', topic: '', qos: '', retain: '', broker: 'broker', wires: [] },
] as const

for (const [way, version] of [
  ['mqtt', 3],
  ['mqtt', 4],
  ['ws', 4],
  ['wss', 5],
  ['mqtts', 5],
] as const) {
  suite(`Node-RED over ${way}, level ${version}`, options, () => {
    test('runs a flow, and says when it is there, gone or lost', async () => {
      await using server = await FieldServer.start()
      await using js = await JsClient.connect(server, { clientId: 'js' })
      await js.client.subscribeAsync(['kelvin/#', 'nodered/#'], { qos: 2 })
      const flow = { way, version, user: 'romeo', broker: lastWords, flow: kelvin }
      await using first = await NodeRed.start(server, flow)
      assert.deepEqual(await js.inbox.take(1), ['nodered/status=online 1'])
      await js.client.publishAsync('celsius/attic', '20', { qos: 2, retain: true })
      assert.deepEqual(await js.inbox.take(1), ['kelvin/attic=293.15 2'])
      first.signal('SIGTERM')
      assert.deepEqual(await js.inbox.take(1), ['nodered/status=closed 1'])
      await first.ended()
      // What is retained comes when it is back.
      await using second = await NodeRed.start(server, flow)
      const lines = (await js.inbox.take(2)).sort()
      assert.deepEqual(lines, ['kelvin/attic=293.15 2', 'nodered/status=online 1'])
      second.signal('SIGKILL')
      assert.deepEqual(await js.inbox.take(1), ['nodered/status=lost 1'])
      await js.client.unsubscribeAsync('nodered/#')
      await js.client.subscribeAsync('nodered/#')
      assert.deepEqual(await js.inbox.take(1), ['nodered/status=lost 0r'])
    })
  })
}

test('Node-RED answers requests of MQTT 5', options, async () => {
  await using server = await FieldServer.start()
  await using js = await JsClient.connect(server, { clientId: 'js' })
  await js.client.subscribeAsync('answers/js', { qos: 1 })
  await using nodeRed = await NodeRed.start(server, { way: 'mqtts', version: 5, flow: service })
  const properties = {
    responseTopic: 'answers/js',
    correlationData: Buffer.from('7'),
    userProperties: { who: 'js' },
  }
  await js.client.publishAsync('requests/add', '{"a":1,"b":2}', { qos: 1, properties })
  const answer = await js.inbox.packet()
  assert.equal(answer.payload.toString(), '{"sum":3}')
  assert.equal(answer.properties?.contentType, 'application/json')
  assert.equal(answer.properties?.correlationData?.toString(), '7')
  assert.deepEqual({ ...answer.properties?.userProperties }, { who: 'js' })
  assert.equal(nodeRed.stderr, '')
})

test('Node-RED is back by itself when the server was started again', options, async () => {
  using data = new Folder()
  const port = await freePort()
  let server = await FieldServer.start({ dataDir: data.path, port })
  try {
    await using nodeRed = await NodeRed.start(server, { version: 5, flow: kelvin })
    await server[Symbol.asyncDispose]()
    await nodeRed.says(/disconnected client: 139/)
    server = await FieldServer.start({ dataDir: data.path, port })
    await nodeRed.says(/Connected to broker[^]*Connected to broker/)
    await using js = await JsClient.connect(server, { clientId: 'js' })
    await js.client.subscribeAsync('kelvin/#', { qos: 1 })
    await js.client.publishAsync('celsius/hall', '-273.15', { qos: 1, retain: true })
    assert.deepEqual(await js.inbox.take(1), ['kelvin/hall=0 1'])
  } finally {
    await server[Symbol.asyncDispose]()
  }
})
