import type { RowOf, SchemaModule } from './define.ts'
import {
  bigText,
  boolean,
  createdAt,
  defineTable,
  index,
  key,
  serverHost,
  text,
  unique,
} from './define.ts'

const room = defineTable(
  'muc_room',
  {
    name: text(),
    host: text(),
    server_host: serverHost(),
    opts: bigText(),
    created_at: createdAt(),
  },
  [unique(['name', 'host'], { name: 75, host: 75 }), index(['host', 'created_at'], { host: 75 })],
)

const registered = defineTable(
  'muc_registered',
  { jid: text(), host: text(), server_host: serverHost(), nick: text(), created_at: createdAt() },
  [index(['nick'], { nick: 75 }), unique(['jid', 'host'], { jid: 75, host: 75 })],
)

const onlineRoom = defineTable(
  'muc_online_room',
  { name: text(), host: text(), server_host: serverHost(), node: text(), pid: text() },
  [unique(['name', 'host'], { name: 75, host: 75 })],
)

const onlineUsers = defineTable(
  'muc_online_users',
  {
    username: text(),
    server: text(),
    resource: text(),
    name: text(),
    host: text(),
    server_host: serverHost(),
    node: text(),
  },
  [
    unique(['username', 'server', 'resource', 'name', 'host'], {
      username: 75,
      server: 75,
      resource: 75,
      name: 75,
      host: 75,
    }),
  ],
)

const roomSubscribers = defineTable(
  'muc_room_subscribers',
  {
    room: key(),
    host: key(),
    jid: key(),
    nick: text(),
    nodes: text(),
    created_at: createdAt(),
  },
  [unique(['host', 'room', 'jid']), index(['host', 'jid']), index(['jid'])],
)

const mixChannel = defineTable(
  'mix_channel',
  {
    channel: text(),
    service: text(),
    username: text(),
    domain: text(),
    jid: text(),
    hidden: boolean(),
    hmac_key: text(),
    created_at: createdAt(),
  },
  [unique(['channel', 'service']), index(['service'])],
)

const mixParticipant = defineTable(
  'mix_participant',
  {
    channel: text(),
    service: text(),
    username: text(),
    domain: text(),
    jid: text(),
    id: text(),
    nick: text(),
    created_at: createdAt(),
  },
  [unique(['channel', 'service', 'username', 'domain'])],
)

/** Five texts in one key: 153 characters each is what InnoDB's 3072 bytes allow. */
const mixSubscription = defineTable(
  'mix_subscription',
  {
    channel: text(),
    service: text(),
    username: text(),
    domain: text(),
    node: text(),
    jid: text(),
  },
  [
    unique(['channel', 'service', 'username', 'domain', 'node'], {
      channel: 153,
      service: 153,
      username: 153,
      domain: 153,
      node: 153,
    }),
    index(['channel', 'service', 'node']),
  ],
)

const mixPam = defineTable(
  'mix_pam',
  {
    username: text(),
    server_host: serverHost(),
    channel: text(),
    service: text(),
    id: text(),
    created_at: createdAt(),
  },
  [unique(['username', 'server_host', 'channel', 'service'])],
)

declare module '../../core/store.ts' {
  interface Tables {
    muc_room: RowOf<typeof room>
    muc_registered: RowOf<typeof registered>
    muc_online_room: RowOf<typeof onlineRoom>
    muc_online_users: RowOf<typeof onlineUsers>
    muc_room_subscribers: RowOf<typeof roomSubscribers>
    mix_channel: RowOf<typeof mixChannel>
    mix_participant: RowOf<typeof mixParticipant>
    mix_subscription: RowOf<typeof mixSubscription>
    mix_pam: RowOf<typeof mixPam>
  }
}

export const mucTables: readonly SchemaModule[] = [
  {
    name: 'mod_muc_sql',
    version: 1,
    tables: [room, registered, onlineRoom, onlineUsers, roomSubscribers],
  },
  { name: 'mod_mix_sql', version: 1, tables: [mixChannel, mixParticipant, mixSubscription] },
  { name: 'mod_mix_pam_sql', version: 1, tables: [mixPam] },
]
