import { createHash } from 'node:crypto'
import type { Clock } from '../core/clock.ts'
import { StorageError } from '../core/store.ts'
import type { HostStore, Migration, TableSpec } from '../core/store.ts'
import type { Cidr } from '../util/cidr.ts'
import { cidrContains, parseCidr, parseIpAddress } from '../util/cidr.ts'
import { bareJid, resourcepart } from '../xmpp/jid/jid.ts'
import type { BareJid, FullJid, Resourcepart } from '../xmpp/jid/jid.ts'

export type BanKind = 'account' | 'address' | 'client'

export interface Ban {
  readonly kind: BanKind
  /** A bare JID; an address or a network; a client identifier. In canonical form. */
  readonly value: string
  /** What the client is told; '' = nothing. */
  readonly reason: string
  /** Milliseconds since 1970. */
  readonly createdAt: number
  /** Milliseconds since 1970; undefined = holds until it is lifted. */
  readonly expiresAt: number | undefined
}

/** Who wants to get in; parts that are not known are not banned. */
export interface Suspect {
  readonly ip: string
  readonly client: Resourcepart
  readonly account?: BareJid
}

const table: TableSpec = {
  name: 'linnet_mqtt_ban',
  alwaysPerHost: true,
  columns: {
    server_host: { kind: 'key' },
    kind: { kind: 'short', length: 10 },
    digest: { kind: 'short', length: 64 },
    value: { kind: 'text' },
    reason: { kind: 'text' },
    created_at: { kind: 'bigint' },
    expires_at: { kind: 'bigint', nullable: true },
  },
  keys: [{ kind: 'primary', columns: ['server_host', 'kind', 'digest'] }],
}

declare module '../core/store.ts' {
  interface Tables {
    linnet_mqtt_ban: {
      kind: string
      /** SHA-256 of the value, which may be longer than keys are in some databases. */
      digest: string
      value: string
      reason: string
      created_at: number
      expires_at: number | null
    }
  }
}

const migrations: readonly Migration[] = [{ version: 1, title: 'MQTT bans', tables: [table] }]

/**
 * Whom operators have banned from one host's broker, besides the bans of accounts (`ban_account`) that hold for XMPP as well.
 * In memory, for every CONNECT asks; in the database, for restarts.
 */
export class Bans {
  readonly #store: HostStore
  readonly #clock: Clock
  readonly #byKind: Readonly<Record<BanKind, Map<string, Ban>>> = {
    account: new Map(),
    address: new Map(),
    client: new Map(),
  }
  /** Those of addresses, parsed. */
  readonly #networks = new Map<string, Cidr>()

  private constructor(store: HostStore, clock: Clock) {
    this.#store = store
    this.#clock = clock
  }

  static async open(store: HostStore, clock: Clock): Promise<Bans> {
    await store.migrate('mod_mqtt bans', migrations)
    const bans = new Bans(store, clock)
    const rows = await store.read(
      bans.#table().select().select(['kind', 'value', 'reason', 'created_at', 'expires_at']),
    )
    for (const { kind, value, reason, created_at, expires_at } of rows) {
      if (kind !== 'account' && kind !== 'address' && kind !== 'client') continue
      const expiresAt = expires_at ?? undefined
      bans.#keep({ kind, value, reason, createdAt: created_at, expiresAt })
    }
    return bans
  }

  /** The ban that keeps somebody out. */
  find({ ip, client, account }: Suspect): Ban | undefined {
    const { account: accounts, client: clients, address: addresses } = this.#byKind
    if (account !== undefined) {
      const ban = this.#current(accounts.get(account))
      if (ban !== undefined) return ban
    }
    const ban = this.#current(clients.get(client))
    if (ban !== undefined || this.#networks.size === 0) return ban
    const address = parseIpAddress(ip)
    if (address === undefined) return undefined
    for (const [value, network] of this.#networks) {
      if (!cidrContains(network, address)) continue
      const found = this.#current(addresses.get(value))
      if (found !== undefined) return found
    }
    return undefined
  }

  /** The same for a client that got in before. */
  findClient({ jid, ip }: { readonly jid: FullJid; readonly ip: string }): Ban | undefined {
    const client = resourcepart(jid)
    return client === '' ? undefined : this.find({ ip, client, account: bareJid(jid) })
  }

  /** Resolves when it is durable; one of the same thing is replaced. Rejects with a `StorageError`. */
  async add(ban: Ban): Promise<void> {
    await this.#write(
      this.#table().upsert({
        key: { kind: ban.kind, digest: digestOf(ban.value) },
        set: {
          value: ban.value,
          reason: ban.reason,
          created_at: ban.createdAt,
          expires_at: ban.expiresAt ?? null,
        },
      }),
    )
    this.#keep(ban)
    await this.#dropExpired()
  }

  /** Whether there was one. Rejects with a `StorageError`. */
  async remove(kind: BanKind, value: string): Promise<boolean> {
    const ban = this.#byKind[kind].get(value)
    if (ban === undefined) return false
    await this.#forget(ban)
    return this.#isCurrent(ban)
  }

  /** By kind and value. */
  list(): readonly Ban[] {
    return Object.values(this.#byKind)
      .flatMap((bans) => [...bans.values()])
      .filter((ban) => this.#isCurrent(ban))
      .sort((a, b) => (`${a.kind} ${a.value}` < `${b.kind} ${b.value}` ? -1 : 1))
  }

  #keep(ban: Ban): void {
    this.#byKind[ban.kind].set(ban.value, ban)
    const network = ban.kind === 'address' ? parseCidr(ban.value) : undefined
    if (network?.ok === true) this.#networks.set(ban.value, network.value)
  }

  async #forget({ kind, value }: Ban): Promise<void> {
    await this.#write(
      this.#table().delete().where('kind', '=', kind).where('digest', '=', digestOf(value)),
    )
    this.#byKind[kind].delete(value)
    if (kind === 'address') this.#networks.delete(value)
  }

  async #dropExpired(): Promise<void> {
    const expired = Object.values(this.#byKind)
      .flatMap((bans) => [...bans.values()])
      .filter((ban) => !this.#isCurrent(ban))
    for (const ban of expired) await this.#forget(ban)
  }

  async #write(query: Parameters<HostStore['write']>[0]): Promise<void> {
    const outcome = await this.#store.write(query).settled
    if (!outcome.ok) throw new StorageError(outcome.error.code, 'Cannot store a ban', outcome.error)
  }

  #current(ban: Ban | undefined): Ban | undefined {
    return ban !== undefined && this.#isCurrent(ban) ? ban : undefined
  }

  #isCurrent({ expiresAt }: Ban): boolean {
    return expiresAt === undefined || expiresAt > this.#clock.now()
  }

  #table() {
    return this.#store.table('linnet_mqtt_ban')
  }
}

function digestOf(value: string): string {
  return createHash('sha256').update(value).digest('hex')
}
