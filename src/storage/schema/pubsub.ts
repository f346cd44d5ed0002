import type { RowOf, SchemaModule } from './define.ts'
import {
  bigText,
  char,
  createdAt,
  defineTable,
  index,
  key,
  nullable,
  references,
  serial,
  text,
  unique,
  varchar,
  withDefault,
} from './define.ts'

const node = defineTable(
  'pubsub_node',
  {
    host: text(),
    node: text(),
    parent: withDefault(key(), ''),
    plugin: text(),
    nodeid: serial(),
  },
  [
    unique(['nodeid']),
    index(['parent'], { parent: 120 }),
    unique(['host', 'node'], { host: 71, node: 120 }),
  ],
)

const nodeOption = defineTable(
  'pubsub_node_option',
  { nodeid: references('pubsub_node', 'nodeid'), name: text(), val: text() },
  [index(['nodeid'])],
)

const nodeOwner = defineTable(
  'pubsub_node_owner',
  { nodeid: references('pubsub_node', 'nodeid'), owner: text() },
  [index(['nodeid'])],
)

const state = defineTable(
  'pubsub_state',
  {
    nodeid: references('pubsub_node', 'nodeid'),
    jid: text(),
    affiliation: nullable(char(1)),
    subscriptions: withDefault(key(), ''),
    stateid: serial(),
  },
  [unique(['stateid']), index(['jid'], { jid: 60 }), unique(['nodeid', 'jid'], { jid: 60 })],
)

const item = defineTable(
  'pubsub_item',
  {
    nodeid: references('pubsub_node', 'nodeid'),
    itemid: text(),
    publisher: text(),
    creation: varchar(32),
    modification: varchar(32),
    payload: withDefault(bigText(), ''),
  },
  [index(['itemid'], { itemid: 36 }), unique(['nodeid', 'itemid'], { itemid: 36 })],
)

const subscriptionOpt = defineTable(
  'pubsub_subscription_opt',
  { subid: text(), opt_name: nullable(varchar(32)), opt_value: text() },
  [unique(['subid', 'opt_name'], { subid: 32, opt_name: 32 })],
)

const capsFeatures = defineTable(
  'caps_features',
  { node: key(), subnode: key(), feature: nullable(text()), created_at: createdAt() },
  [index(['node', 'subnode'], { node: 75, subnode: 75 })],
)

declare module '../../core/store.ts' {
  interface Tables {
    pubsub_node: RowOf<typeof node>
    pubsub_node_option: RowOf<typeof nodeOption>
    pubsub_node_owner: RowOf<typeof nodeOwner>
    pubsub_state: RowOf<typeof state>
    pubsub_item: RowOf<typeof item>
    pubsub_subscription_opt: RowOf<typeof subscriptionOpt>
    caps_features: RowOf<typeof capsFeatures>
  }
}

export const pubsubTables: readonly SchemaModule[] = [
  {
    name: 'mod_pubsub_sql',
    version: 1,
    tables: [node, nodeOption, nodeOwner, state, item, subscriptionOpt],
  },
  { name: 'mod_caps_sql', version: 1, tables: [capsFeatures] },
]
