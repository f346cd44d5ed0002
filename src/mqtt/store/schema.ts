import type { Migration, TableSpec } from '../../core/store.ts'

/*
 * What a broker keeps beside `mqtt_pub`, ejabberd's table of retained messages. Sessions and subscriptions are rows, since
 * they change rarely. What changes with each message (queues, messages in flight, packet identifiers) is a journal: one
 * row for each commit, whatever happened in it; see journal.ts.
 */

const session: TableSpec = {
  name: 'linnet_mqtt_session',
  alwaysPerHost: true,
  columns: {
    server_host: { kind: 'key' },
    id: { kind: 'bigint' },
    jid: { kind: 'text' },
    expiry: { kind: 'bigint' },
    disconnected_at: { kind: 'bigint', nullable: true },
    will: { kind: 'bigblob', nullable: true },
    will_at: { kind: 'bigint', nullable: true },
  },
  keys: [{ kind: 'primary', columns: ['server_host', 'id'] }],
}

const subscription: TableSpec = {
  name: 'linnet_mqtt_subscription',
  alwaysPerHost: true,
  columns: {
    server_host: { kind: 'key' },
    session: { kind: 'bigint' },
    number: { kind: 'integer' },
    filter: { kind: 'text' },
    qos: { kind: 'smallint' },
    flags: { kind: 'smallint' },
    identifier: { kind: 'bigint' },
  },
  keys: [{ kind: 'primary', columns: ['server_host', 'session', 'number'] }],
}

const journal: TableSpec = {
  name: 'linnet_mqtt_journal',
  alwaysPerHost: true,
  columns: {
    server_host: { kind: 'key' },
    id: { kind: 'bigint' },
    records: { kind: 'bigblob' },
  },
  keys: [{ kind: 'primary', columns: ['server_host', 'id'] }],
}

declare module '../../core/store.ts' {
  interface Tables {
    linnet_mqtt_session: {
      id: number
      /** The session's key: `user@host/client`. */
      jid: string
      /** Session expiry interval in seconds; `neverExpires` = never. */
      expiry: number
      /** Milliseconds since 1970; null while connected, and after a crash. */
      disconnected_at: number | null
      will: Uint8Array | null
      /** When the will is due, in milliseconds since 1970; null while connected. */
      will_at: number | null
    }
    linnet_mqtt_subscription: {
      session: number
      /** Its number in the session. */
      number: number
      filter: string
      qos: number
      flags: number
      /** Subscription identifier; 0 = none. */
      identifier: number
    }
    linnet_mqtt_journal: { id: number; records: Uint8Array }
  }
}

export const mqttMigrations: readonly Migration[] = [
  { version: 1, title: 'MQTT sessions', tables: [session, subscription, journal] },
]

/** Under this name the migrations are recorded. */
export const mqttOwner = 'mod_mqtt'
