import type { RowOf, SchemaModule } from './define.ts'
import {
  boolean,
  char,
  createdAt,
  defineTable,
  index,
  inMysql,
  key,
  numeric,
  primary,
  references,
  serial,
  serverHost,
  text,
  unique,
} from './define.ts'

const privacyDefaultList = defineTable(
  'privacy_default_list',
  { username: key(), server_host: serverHost(), name: key() },
  [primary(['server_host', 'username'])],
)

const privacyList = defineTable(
  'privacy_list',
  {
    username: key(),
    server_host: serverHost(),
    name: key(),
    id: inMysql(serial(), 'bigint unsigned'),
    created_at: createdAt(),
  },
  [unique(['id']), unique(['server_host', 'username', 'name'], { username: 75, name: 75 })],
)

/** In MySQL ejabberd's two `id` columns differ in sign, so that nothing cascades: delete a list's rows first. */
const privacyListData = defineTable(
  'privacy_list_data',
  {
    id: references('privacy_list', 'id', { notInMysql: true }),
    t: char(1),
    value: text(),
    action: char(1),
    ord: numeric(),
    match_all: boolean(),
    match_iq: boolean(),
    match_message: boolean(),
    match_presence_in: boolean(),
    match_presence_out: boolean(),
  },
  [index(['id'])],
)

const privateStorage = defineTable(
  'private_storage',
  {
    username: key(),
    server_host: serverHost(),
    namespace: key(),
    data: text(),
    created_at: createdAt(),
  },
  [unique(['server_host', 'username', 'namespace'])],
)

declare module '../../core/store.ts' {
  interface Tables {
    privacy_default_list: RowOf<typeof privacyDefaultList>
    privacy_list: RowOf<typeof privacyList>
    privacy_list_data: RowOf<typeof privacyListData>
    private_storage: RowOf<typeof privateStorage>
  }
}

export const privacyTables: readonly SchemaModule[] = [
  {
    name: 'mod_privacy_sql',
    version: 1,
    tables: [privacyDefaultList, privacyList, privacyListData],
  },
  { name: 'mod_private_sql', version: 1, tables: [privateStorage] },
]
