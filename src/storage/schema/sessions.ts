import type { RowOf, SchemaModule } from './define.ts'
import { bigint, defineTable, index, key, primary, serverHost, text, unique } from './define.ts'

const sm = defineTable(
  'sm',
  {
    usec: bigint(),
    pid: text(),
    node: text(),
    username: key(),
    server_host: serverHost(),
    resource: key(),
    priority: text(),
    info: text(),
  },
  [
    unique(['usec', 'pid'], { pid: 75 }),
    index(['node'], { node: 75 }),
    index(['server_host', 'username']),
  ],
)

const route = defineTable(
  'route',
  { domain: text(), server_host: serverHost(), node: text(), pid: text(), local_hint: text() },
  [
    unique(['domain', 'server_host', 'node', 'pid'], {
      domain: 75,
      server_host: 75,
      node: 75,
      pid: 75,
    }),
  ],
  { alwaysPerHost: true },
)

const bosh = defineTable('bosh', { sid: text(), node: text(), pid: text() }, [
  unique(['sid'], { sid: 75 }),
])

const proxy65 = defineTable(
  'proxy65',
  { sid: text(), pid_t: text(), pid_i: text(), node_t: text(), node_i: text(), jid_i: text() },
  [unique(['sid']), index(['jid_i'])],
)

const pushSession = defineTable(
  'push_session',
  {
    username: text(),
    server_host: serverHost(),
    timestamp: bigint(),
    service: text(),
    node: text(),
    xml: text(),
  },
  [
    // Upsert by this one: newer single-host databases do not have the other.
    unique(['server_host', 'username', 'service', 'node']),
    primary(['server_host', 'username', 'timestamp']),
  ],
)

declare module '../../core/store.ts' {
  interface Tables {
    sm: RowOf<typeof sm>
    route: RowOf<typeof route>
    bosh: RowOf<typeof bosh>
    proxy65: RowOf<typeof proxy65>
    push_session: RowOf<typeof pushSession>
  }
}

export const sessionTables: readonly SchemaModule[] = [
  { name: 'ejabberd_sm_sql', version: 1, tables: [sm] },
  { name: 'ejabberd_router_sql', version: 1, tables: [route] },
  { name: 'mod_bosh_sql', version: 1, tables: [bosh] },
  { name: 'mod_proxy65_sql', version: 1, tables: [proxy65] },
  { name: 'mod_push_sql', version: 1, tables: [pushSession] },
]
