import type { HostStore, Query, Tables } from '../../core/store.ts'
import { decodeExternalTerm, encodeExternalTerm } from '../../util/erlang-external.ts'
import { binary, list, readList, readText, readTuple, tuple } from '../../util/erlang-term.ts'
import type { FullJid } from '../../xmpp/jid/jid.ts'
import { localpart, resourcepart } from '../../xmpp/jid/jid.ts'
import { Message } from '../message.ts'
import type { PropertiesOf, UserProperty } from '../packet/properties.ts'
import { parseTopicName, type TopicName } from '../topic.ts'

/** ejabberd's value for "never". */
const never = 0xffff_ffff
const pageRows = 1000
/** What a MySQL `blob` and a key column take. */
const mysqlBlobBytes = 65_535
const mysqlKeyLength = 191

type Row = Tables['mqtt_pub']

/** Retained messages as rows of `mqtt_pub`, in ejabberd's encoding. */
export class RetainedRows {
  readonly #store: HostStore
  readonly #upsert: (row: Row) => Query
  readonly #delete: (key: { topic: string }) => Query

  constructor(store: HostStore) {
    this.#store = store
    const table = store.table('mqtt_pub')
    this.#upsert = store.prepare<Row, unknown>((value) =>
      table.upsert({
        key: { topic: value('topic') },
        set: {
          username: value('username'),
          resource: value('resource'),
          qos: value('qos'),
          payload: value('payload'),
          payload_format: value('payload_format'),
          content_type: value('content_type'),
          response_topic: value('response_topic'),
          correlation_data: value('correlation_data'),
          user_properties: value('user_properties'),
          expiry: value('expiry'),
        },
      }),
    )
    this.#delete = store.prepare<{ topic: string }, unknown>((value) =>
      table.delete().where('topic', '=', value('topic')),
    )
  }

  /** Whether the table can hold it. */
  fits(message: Message): boolean {
    if (this.#store.database.dialect !== 'mysql') return true
    return message.body.length <= mysqlBlobBytes
  }

  put(message: Message, publisher: FullJid): Query {
    const { properties, payload } = { properties: message.properties(), payload: message.payload }
    return this.#upsert({
      topic: message.topic,
      username: localpart(publisher).slice(0, mysqlKeyLength),
      resource: resourcepart(publisher).slice(0, mysqlKeyLength),
      qos: message.qos,
      payload,
      payload_format: properties.payloadFormatIndicator ?? 0,
      content_type: properties.contentType ?? '',
      response_topic: properties.responseTopic ?? '',
      correlation_data: properties.correlationData ?? new Uint8Array(0),
      user_properties: encodeUserProperties(properties.userProperties),
      expiry:
        message.expiresAt === Infinity
          ? never
          : Math.min(Math.ceil(message.expiresAt / 1000), never - 1),
    })
  }

  remove(topic: TopicName): Query {
    return this.#delete({ topic })
  }

  /** Calls back for each row; `undefined` stands for one that cannot be read. */
  async load(
    nowMs: number,
    each: (topic: string, message: Message | undefined) => void,
  ): Promise<void> {
    let last = ''
    for (;;) {
      const rows = await this.#store.read(
        this.#store
          .table('mqtt_pub')
          .select()
          .selectAll()
          .where('topic', '>', last)
          .orderBy('topic')
          .limit(pageRows),
      )
      for (const row of rows) each(row.topic, readRow(row, nowMs))
      const end = rows.at(-1)
      if (end === undefined || rows.length < pageRows) return
      last = end.topic
    }
  }
}

function readRow(row: Row, nowMs: number): Message | undefined {
  const topic = parseTopicName(row.topic)
  const userProperties = decodeUserProperties(row.user_properties)
  if (!topic.ok || userProperties === undefined) return undefined
  const expiresAt = row.expiry >= never ? Infinity : row.expiry * 1000
  const properties: PropertiesOf<'publish'> = {
    ...(row.payload_format === 1 && { payloadFormatIndicator: 1 }),
    ...(row.content_type !== '' && { contentType: row.content_type }),
    ...(row.response_topic !== '' && { responseTopic: row.response_topic }),
    ...(row.correlation_data.length > 0 && { correlationData: row.correlation_data }),
    ...(userProperties.length > 0 && { userProperties }),
    ...(expiresAt !== Infinity && {
      messageExpiryInterval: Math.max(0, Math.ceil((expiresAt - nowMs) / 1000)),
    }),
  }
  const qos = row.qos === 2 ? 2 : row.qos === 1 ? 1 : 0
  return Message.create(
    { topic: topic.value, payload: row.payload, qos, retain: true, properties },
    nowMs,
  )
}

function encodeUserProperties(properties: readonly UserProperty[] | undefined): Uint8Array {
  if (properties === undefined || properties.length === 0) return new Uint8Array(0)
  return encodeExternalTerm(
    list(properties.map(([name, value]) => tuple(binary(name), binary(value)))),
  )
}

function decodeUserProperties(bytes: Uint8Array): readonly UserProperty[] | undefined {
  if (bytes.length === 0) return []
  const term = decodeExternalTerm(bytes)
  const items = term.ok ? readList(term.value) : undefined
  if (items === undefined) return undefined
  const properties: UserProperty[] = []
  for (const item of items) {
    const [name, value] = readTuple(item, 2) ?? []
    const pair = [readText(name), readText(value)] as const
    if (pair[0] === undefined || pair[1] === undefined) return undefined
    properties.push([pair[0], pair[1]])
  }
  return properties
}
