import type { Command, CommandValue, Field } from '../../core/command.ts'
import { CommandError, defineCommand } from '../../core/command.ts'
import type { Broker } from '../broker.ts'
import type { Message } from '../message.ts'
import { isUtf8 } from '../packet/utf8.ts'
import type { TopicFilter, TopicName } from '../topic.ts'
import { isServerTopic } from '../topic.ts'
import { brokerOf, filter, filterOf, host, timeText, topicOf } from './arguments.ts'
import { Page, pageArguments } from './page.ts'
import { listProperties, properties } from './properties.ts'
import { nextTurn } from './slices.ts'

const topic: Field = { name: 'topic', type: 'string' }
const retainedFields: readonly Field[] = [
  topic,
  { name: 'size', type: 'integer' },
  { name: 'qos', type: 'integer' },
  { name: 'since', type: 'string' },
  { name: 'expires', type: 'string' },
]

export const retainedCommands: readonly Command[] = [
  defineCommand({
    name: 'mqtt_list_retained',
    tags: ['mqtt'],
    summary:
      'List the retained messages that a filter selects by topic, after the last one that is known already; "since" is empty for those from before the last start',
    args: [host, filter, ...pageArguments],
    result: {
      name: 'retained',
      type: { list: { name: 'message', type: { tuple: retainedFields } } },
    },
    async run([hostName, text, after, limit], context) {
      const broker = brokerOf(hostName, context)
      const page = new Page<Message>(after, limit)
      const nowMs = broker.nowMs()
      const cursor = broker.retained.search(filterOf(text))
      const offer = (name: TopicName, message: Message): void => {
        if (!message.isExpired(nowMs)) page.offer(name, message)
      }
      while (cursor.slice(stepsAtOnce, offer)) await nextTurn()
      return page.items().map(rowOf)
    },
  }),
  defineCommand({
    name: 'mqtt_get_retained',
    tags: ['mqtt'],
    summary: 'Get the retained message of a topic; its payload is text if it can be, else Base64',
    args: [host, { name: 'topic', type: 'binary' }],
    result: {
      name: 'message',
      type: {
        tuple: [
          ...retainedFields,
          { name: 'encoding', type: 'string' },
          { name: 'payload', type: 'string' },
          properties,
        ],
      },
    },
    run([hostName, text], context) {
      const broker = brokerOf(hostName, context)
      const message = broker.retained.get(topicOf(text))
      if (message === undefined || message.isExpired(broker.nowMs())) {
        throw new CommandError('not_found', 'not_retained')
      }
      const payload = Buffer.from(message.payload)
      const isText = isUtf8(payload, 0, payload.length)
      return [
        ...rowOf(message),
        isText ? 'text' : 'base64',
        payload.toString(isText ? 'utf8' : 'base64'),
        listProperties(message.properties()),
      ]
    },
  }),
  defineCommand({
    name: 'mqtt_delete_retained',
    tags: ['mqtt', 'purge'],
    summary:
      'Delete the retained messages that a filter selects: one topic, or all below one with "/#"; subscribers are not told',
    args: [host, filter],
    result: { name: 'deleted', type: 'integer' },
    run: ([hostName, text], context) => remove(brokerOf(hostName, context), filterOf(text)),
  }),
]

/** Nodes of the tree before others have their turn. */
const stepsAtOnce = 2000

/** What is under way is bounded: the next ones go when these are stored. */
async function remove(broker: Broker, selected: TopicFilter): Promise<number> {
  // Nothing is retained there.
  if (isServerTopic(selected)) return 0
  const cursor = broker.retained.search(selected)
  let count = 0
  for (let hasMore = true; hasMore;) {
    const topics: TopicName[] = []
    hasMore = cursor.slice(stepsAtOnce, (name) => topics.push(name))
    const operations = topics.map((name) => broker.retained.remove(name))
    const isStored = await broker.journal.settled()
    if (!isStored || operations.some((operation) => operation?.failed === true)) {
      throw new CommandError('error', `The database refused more than ${count} deletions`)
    }
    count += topics.length
    await nextTurn()
  }
  return count
}

function rowOf(message: Message): readonly CommandValue[] {
  return [
    message.topic,
    message.payloadLength,
    message.qos,
    message.retainedAt === 0 ? '' : timeText(message.retainedAt * 1000),
    timeText(message.expiresAt),
  ]
}
