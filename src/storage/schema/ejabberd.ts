import { accountTables } from './accounts.ts'
import type { SchemaModule } from './define.ts'
import { bigint, createdAt, defineTable, integer, key, primary, text } from './define.ts'
import { messageTables } from './messages.ts'
import { mqttTables } from './mqtt.ts'
import { mucTables } from './muc.ts'
import { privacyTables } from './privacy.ts'
import { pubsubTables } from './pubsub.ts'
import { rosterTables } from './roster.ts'
import { sessionTables } from './sessions.ts'

/** All of ejabberd's tables, by the module that owns them in its `schema_version`. */
export const ejabberdModules: readonly SchemaModule[] = [
  ...accountTables,
  ...rosterTables,
  ...messageTables,
  ...privacyTables,
  ...pubsubTables,
  ...mucTables,
  ...mqttTables,
  ...sessionTables,
]

/** ejabberd's own book of versions; it trusts what is written here, so that it goes on with a database of ours. */
export const schemaVersion = defineTable('schema_version', { module: text(), version: bigint() }, [
  primary(['module']),
])

/** Our book: which numbered steps of whose tables have been made. */
export const linnetMigration = defineTable(
  'linnet_migration',
  { owner: key(), version: integer(), title: text(), applied_at: createdAt() },
  [primary(['owner', 'version'])],
)
