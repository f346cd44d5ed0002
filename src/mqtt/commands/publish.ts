import type { CommandContext, CommandValue } from '../../core/command.ts'
import { CommandError, defineCommand } from '../../core/command.ts'
import type { FullJid } from '../../xmpp/jid/jid.ts'
import { jid, isFull, prepResource, withResource } from '../../xmpp/jid/jid.ts'
import type { Broker } from '../broker.ts'
import type { Publisher } from '../hooks.ts'
import type { MessageContent } from '../message.ts'
import { Message } from '../message.ts'
import type { QoS } from '../packet/packet-type.ts'
import { ReasonCode, reasonName } from '../packet/reason-code.ts'
import { encodeUtf8, isUtf8 } from '../packet/utf8.ts'
import { isServerTopic } from '../topic.ts'
import { brokerOf, host, topicOf } from './arguments.ts'
import { decodeBase64, properties, propertiesOf } from './properties.ts'

/** The client identifier of whoever publishes by command. */
const publisherId = 'mqtt_publish'

export const mqttPublishCommand = defineCommand({
  name: 'mqtt_publish',
  tags: ['mqtt'],
  summary:
    'Publish an MQTT message: the payload is "text" or "base64", retain "true" or "false"; done when everything is stored that has to be',
  args: [
    host,
    { name: 'topic', type: 'binary' },
    { name: 'payload', type: 'binary' },
    { name: 'encoding', type: 'binary' },
    { name: 'qos', type: 'integer' },
    { name: 'retain', type: 'binary' },
    properties,
  ],
  result: 'restuple',
  run([hostName, topic, payload, encoding, qos, retain, list], context) {
    const broker = brokerOf(hostName, context)
    const own = propertiesOf(list)
    const bytes = payloadOf(String(payload), encoding)
    if (own.payloadFormatIndicator === 1 && !isUtf8(bytes, 0, bytes.length)) {
      throw new CommandError('error', 'The payload is no text')
    }
    return publish(broker, context, {
      topic: topicOf(topic),
      payload: bytes,
      qos: qosOf(qos),
      retain: flagOf(retain),
      properties: own,
    })
  },
})

/** The way of a client's message: access rules, hooks, retained messages, subscribers, and the commit that it stands for. */
async function publish(
  broker: Broker,
  context: CommandContext,
  content: MessageContent,
): Promise<CommandValue> {
  const { topic, qos, retain } = content
  const { jid: account, ip = '' } = context.caller
  const publisher: Publisher = { jid: publisherOf(broker, context), ip }
  const route = broker.createRoute(topic, encodeUtf8(topic))
  broker.refresh(route, publisher)
  const allowed = retain ? route.allowed.retainedQoS : route.allowed.qos
  // Who comes without an account (the shell, a cron job) runs the server: only its own topics are out of reach.
  const mayPublish = qos <= allowed || (account === undefined && !isServerTopic(topic))
  if (!mayPublish) {
    const why = broker.authorization.explainPublish(topic, qos, retain, publisher)
    throw new CommandError('not_allowed', why)
  }
  const message = Message.create(content, broker.nowMs())
  const { reason, operation, replacement } = broker.publish(message, route, publisher)
  if (reason >= 0x80) throw new CommandError('error', reasonName(reason, 'puback'))
  const isCommitted = await broker.journal.settled()
  if (!isCommitted || operation?.failed === true) {
    broker.refuse(replacement ?? message)
    throw new CommandError('error', 'The server cannot store messages')
  }
  return reason === ReasonCode.noMatchingSubscribers ? 'Published, to nobody' : 'Published'
}

function publisherOf(broker: Broker, { caller }: CommandContext): FullJid {
  const resource = prepResource(publisherId)
  if (caller.jid !== undefined && resource.ok) return withResource(caller.jid, resource.value)
  const own = jid(`${broker.host}/${publisherId}`)
  if (!isFull(own)) throw new Error(`${own} has no resource`)
  return own
}

function payloadOf(text: string, encoding: CommandValue | undefined): Uint8Array {
  if (encoding === 'text') return Buffer.from(text)
  if (encoding !== 'base64') {
    throw new CommandError('error', 'The encoding must be "text" or "base64"')
  }
  const bytes = decodeBase64(text)
  if (bytes === undefined) throw new CommandError('error', 'The payload is not Base64')
  return bytes
}

function qosOf(value: CommandValue | undefined): QoS {
  if (value === 0 || value === 1 || value === 2) return value
  throw new CommandError('error', 'The QoS must be 0, 1 or 2')
}

function flagOf(value: CommandValue | undefined): boolean {
  if (value === 'true' || value === '1') return true
  if (value === 'false' || value === '0') return false
  throw new CommandError('error', 'Retain must be "true" or "false"')
}
