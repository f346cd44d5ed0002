import { randomBytes } from 'node:crypto'
import type { HostStore, Migration } from '../../core/store.ts'

declare module '../../core/store.ts' {
  interface Tables {
    linnet_mqtt_bridge: {
      name: string
      client_id: string
      /** What the remote broker has been asked for, as JSON: {@link Subscribed}. */
      subscribed: string
      /** Filters whose retained messages the remote broker has been given, as JSON. */
      handed_over: string
    }
  }
}

export const bridgeMigrations: readonly Migration[] = [
  {
    version: 1,
    title: 'Bridges to other brokers',
    tables: [
      {
        name: 'linnet_mqtt_bridge',
        alwaysPerHost: true,
        columns: {
          server_host: { kind: 'key' },
          name: { kind: 'key' },
          client_id: { kind: 'text' },
          subscribed: { kind: 'bigtext' },
          handed_over: { kind: 'bigtext' },
        },
        keys: [{ kind: 'primary', columns: ['server_host', 'name'] }],
      },
    ],
  },
]

/** Filters on the remote broker with the options that were asked for; undefined: it has not let us in yet. */
export type Subscribed = Readonly<Record<string, number>> | undefined

/** What a bridge remembers of the remote broker, beside its session. */
export interface BridgeMemory {
  /** Who we are there, unless the configuration says otherwise. */
  readonly clientId: string
  readonly subscribed: Subscribed
  readonly handedOver: readonly string[]
}

/** What the bridges of one host remember. */
export class BridgeRows {
  readonly #store: HostStore

  constructor(store: HostStore) {
    this.#store = store
  }

  /** What is known of a bridge; a new one gets a client identifier that no other has. */
  async load(name: string): Promise<BridgeMemory> {
    const table = this.#store.table('linnet_mqtt_bridge')
    const [row] = await this.#store.read(table.select().selectAll().where('name', '=', name))
    if (row !== undefined) {
      return {
        clientId: row.client_id,
        subscribed: parseSubscribed(row.subscribed),
        handedOver: parseFilters(row.handed_over),
      }
    }
    // MQTT 3.1 takes 23 characters.
    const clientId = `linnet-${randomBytes(8).toString('hex')}`
    const memory = { clientId, subscribed: undefined, handedOver: [] }
    await this.save(name, memory)
    return memory
  }

  /** Resolves when it is durable; rejects when it cannot be stored. */
  async save(name: string, { clientId, subscribed, handedOver }: BridgeMemory): Promise<void> {
    const table = this.#store.table('linnet_mqtt_bridge')
    const outcome = await this.#store.write(
      table.upsert({
        key: { name },
        set: {
          client_id: clientId,
          subscribed: JSON.stringify(subscribed ?? null),
          handed_over: JSON.stringify(handedOver),
        },
      }),
    ).settled
    if (!outcome.ok) throw outcome.error
  }
}

function parseSubscribed(text: string): Subscribed {
  const value: unknown = JSON.parse(text)
  if (typeof value !== 'object' || value === null) return undefined
  return Object.fromEntries(
    Object.entries(value).filter(
      (entry): entry is [string, number] => typeof entry[1] === 'number',
    ),
  )
}

function parseFilters(text: string): readonly string[] {
  const value: unknown = JSON.parse(text)
  return Array.isArray(value) ? value.filter((item) => typeof item === 'string') : []
}
