import type { RowOf, SchemaModule } from './define.ts'
import {
  bigint,
  char,
  createdAt,
  defineTable,
  index,
  integer,
  key,
  primary,
  serverHost,
  short,
  smallint,
  text,
  timestamp,
  withDefault,
} from './define.ts'

const users = defineTable(
  'users',
  {
    username: key(),
    server_host: serverHost(),
    type: smallint(),
    password: text(),
    serverkey: withDefault(short(128), ''),
    salt: withDefault(short(128), ''),
    iterationcount: withDefault(integer(), 0),
    created_at: createdAt(),
  },
  [primary(['server_host', 'username', 'type'])],
)

const oauthToken = defineTable(
  'oauth_token',
  { token: key(), jid: text(), scope: text(), expire: bigint() },
  [primary(['token'])],
)

const oauthClient = defineTable(
  'oauth_client',
  { client_id: key(), client_name: text(), grant_type: text(), options: text() },
  [primary(['client_id'])],
)

const authFastTokens = defineTable(
  'auth_fast_tokens',
  {
    username: text(),
    server_host: serverHost(),
    ua: text(),
    type: char(1),
    token: text(),
    created_at: createdAt(),
    expires: timestamp(),
  },
  [primary(['server_host', 'username', 'ua', 'type'])],
)

const inviteToken = defineTable(
  'invite_token',
  {
    token: text(),
    username: text(),
    server_host: serverHost(),
    invitee: withDefault(key(), ''),
    created_at: createdAt(),
    expires: createdAt(),
    type: char(1),
    account_name: text(),
  },
  [
    primary(['token']),
    index(['username', 'server_host']),
    index(['type']),
    index(['account_name']),
    index(['invitee']),
  ],
)

declare module '../../core/store.ts' {
  interface Tables {
    users: RowOf<typeof users>
    oauth_token: RowOf<typeof oauthToken>
    oauth_client: RowOf<typeof oauthClient>
    auth_fast_tokens: RowOf<typeof authFastTokens>
    invite_token: RowOf<typeof inviteToken>
  }
}

export const accountTables: readonly SchemaModule[] = [
  { name: 'ejabberd_auth_sql', version: 2, tables: [users] },
  { name: 'ejabberd_oauth_sql', version: 1, tables: [oauthToken, oauthClient] },
  { name: 'mod_auth_fast_sql', version: 1, tables: [authFastTokens] },
  { name: 'mod_invites_sql', version: 3, tables: [inviteToken] },
]
