import type { RowOf, SchemaModule } from './define.ts'
import {
  bigint,
  blob,
  defineTable,
  inMysql,
  key,
  serverHost,
  smallint,
  text,
  unique,
} from './define.ts'

const mqttPub = defineTable(
  'mqtt_pub',
  {
    username: key(),
    server_host: serverHost(),
    resource: key(),
    topic: text(),
    qos: inMysql(smallint(), 'tinyint'),
    payload: blob(),
    payload_format: inMysql(smallint(), 'tinyint'),
    content_type: text(),
    response_topic: text(),
    correlation_data: blob(),
    user_properties: blob(),
    expiry: inMysql(bigint(), 'int unsigned'),
  },
  [unique(['topic', 'server_host'])],
)

declare module '../../core/store.ts' {
  interface Tables {
    mqtt_pub: RowOf<typeof mqttPub>
  }
}

export const mqttTables: readonly SchemaModule[] = [
  { name: 'mod_mqtt_sql', version: 1, tables: [mqttPub] },
]
