import type { RowOf, SchemaModule } from './define.ts'
import {
  bigText,
  boolean,
  char,
  createdAt,
  defineTable,
  index,
  key,
  nullable,
  primary,
  serverHost,
  text,
  unique,
} from './define.ts'

const last = defineTable(
  'last',
  { username: key(), server_host: serverHost(), seconds: text(), state: text() },
  [primary(['server_host', 'username'])],
)

const rosterusers = defineTable(
  'rosterusers',
  {
    username: key(),
    server_host: serverHost(),
    jid: key(),
    nick: text(),
    subscription: char(1),
    approved: boolean(),
    ask: char(1),
    askmessage: text(),
    server: char(1),
    subscribe: text(),
    type: nullable(text()),
    created_at: createdAt(),
  },
  [
    unique(['server_host', 'username', 'jid'], { username: 75, jid: 75 }),
    index(['server_host', 'jid']),
  ],
)

const rostergroups = defineTable(
  'rostergroups',
  { username: key(), server_host: serverHost(), jid: key(), grp: text() },
  [index(['server_host', 'username', 'jid'], { username: 75, jid: 75 })],
)

const rosterVersion = defineTable(
  'roster_version',
  { username: key(), server_host: serverHost(), version: text() },
  [primary(['server_host', 'username'])],
)

const vcard = defineTable(
  'vcard',
  { username: key(), server_host: serverHost(), vcard: bigText(), created_at: createdAt() },
  [primary(['server_host', 'username'])],
)

/** Each field as given and, with an `l` before its name, lower-cased for the search. */
const vcardSearch = defineTable(
  'vcard_search',
  {
    username: key(),
    lusername: key(),
    server_host: serverHost(),
    fn: text(),
    lfn: key(),
    family: text(),
    lfamily: key(),
    given: text(),
    lgiven: key(),
    middle: text(),
    lmiddle: key(),
    nickname: text(),
    lnickname: key(),
    bday: text(),
    lbday: key(),
    ctry: text(),
    lctry: key(),
    locality: text(),
    llocality: key(),
    email: text(),
    lemail: key(),
    orgname: text(),
    lorgname: key(),
    orgunit: text(),
    lorgunit: key(),
  },
  [
    primary(['server_host', 'lusername']),
    index(['server_host', 'lfn']),
    index(['server_host', 'lfamily']),
    index(['server_host', 'lgiven']),
    index(['server_host', 'lmiddle']),
    index(['server_host', 'lnickname']),
    index(['server_host', 'lbday']),
    index(['server_host', 'lctry']),
    index(['server_host', 'llocality']),
    index(['server_host', 'lemail']),
    index(['server_host', 'lorgname']),
    index(['server_host', 'lorgunit']),
  ],
)

const srGroup = defineTable(
  'sr_group',
  { name: key(), server_host: serverHost(), opts: text(), created_at: createdAt() },
  [unique(['server_host', 'name'])],
)

const srUser = defineTable(
  'sr_user',
  { jid: key(), server_host: serverHost(), grp: key(), created_at: createdAt() },
  [unique(['server_host', 'jid', 'grp']), index(['server_host', 'grp'])],
)

declare module '../../core/store.ts' {
  interface Tables {
    last: RowOf<typeof last>
    rosterusers: RowOf<typeof rosterusers>
    rostergroups: RowOf<typeof rostergroups>
    roster_version: RowOf<typeof rosterVersion>
    vcard: RowOf<typeof vcard>
    vcard_search: RowOf<typeof vcardSearch>
    sr_group: RowOf<typeof srGroup>
    sr_user: RowOf<typeof srUser>
  }
}

export const rosterTables: readonly SchemaModule[] = [
  { name: 'mod_last_sql', version: 1, tables: [last] },
  { name: 'mod_roster_sql', version: 2, tables: [rosterusers, rostergroups, rosterVersion] },
  { name: 'mod_vcard_sql', version: 1, tables: [vcard, vcardSearch] },
  { name: 'mod_shared_roster_sql', version: 1, tables: [srGroup, srUser] },
]
