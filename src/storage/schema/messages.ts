import type { RowOf, SchemaModule } from './define.ts'
import {
  bigint,
  bigText,
  createdAt,
  defineTable,
  fulltext,
  index,
  inMysql,
  key,
  nullable,
  primary,
  serial,
  serverHost,
  short,
  text,
} from './define.ts'

const spool = defineTable(
  'spool',
  {
    username: key(),
    server_host: serverHost(),
    xml: bigText(),
    seq: inMysql(serial(), 'bigint unsigned'),
    created_at: createdAt(),
  },
  [index(['server_host', 'username']), index(['created_at'])],
)

const archive = defineTable(
  'archive',
  {
    username: key(),
    server_host: serverHost(),
    timestamp: inMysql(bigint(), 'bigint unsigned'),
    peer: key(),
    bare_peer: key(),
    xml: bigText(),
    txt: nullable(bigText()),
    id: inMysql(serial(), 'bigint unsigned'),
    kind: nullable(short(10)),
    nick: nullable(key()),
    origin_id: nullable(key()),
    created_at: createdAt(),
  },
  [
    index(['server_host', 'username', 'timestamp']),
    index(['server_host', 'username', 'peer']),
    index(['server_host', 'username', 'bare_peer']),
    index(['server_host', 'timestamp']),
    index(['server_host', 'username', 'origin_id']),
    fulltext(['txt']),
  ],
)

const archivePrefs = defineTable(
  'archive_prefs',
  {
    username: key(),
    server_host: serverHost(),
    def: text(),
    always: text(),
    never: text(),
    created_at: createdAt(),
  },
  [primary(['server_host', 'username'])],
)

const motd = defineTable(
  'motd',
  { username: key(), server_host: serverHost(), xml: nullable(text()), created_at: createdAt() },
  [primary(['server_host', 'username'])],
)

declare module '../../core/store.ts' {
  interface Tables {
    spool: RowOf<typeof spool>
    archive: RowOf<typeof archive>
    archive_prefs: RowOf<typeof archivePrefs>
    motd: RowOf<typeof motd>
  }
}

export const messageTables: readonly SchemaModule[] = [
  { name: 'mod_offline_sql', version: 1, tables: [spool] },
  { name: 'mod_mam_sql', version: 2, tables: [archive, archivePrefs] },
  { name: 'mod_announce_sql', version: 1, tables: [motd] },
]
