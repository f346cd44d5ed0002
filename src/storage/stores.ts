import { isDeepStrictEqual } from 'node:util'
import { join } from 'node:path'
import type { HostStore, Store } from '../core/store.ts'
import type { SqliteStoreSettings, StoreSettings, StoreTools } from './open.ts'
import { openStore } from './open.ts'

/** The embedded database: one file for all hosts. */
export function embeddedSettings(dataDirectory: string): SqliteStoreSettings {
  return { type: 'sqlite', file: join(dataDirectory, 'linnet.sqlite'), multihost: true }
}

/** Where ejabberd keeps a host's SQLite database unless `sql_database` says otherwise. */
export function ejabberdSqliteFile(dataDirectory: string, host: string): string {
  return join(dataDirectory, 'sqlite', `${host}.sqlite`)
}

interface Opened {
  readonly settings: StoreSettings
  readonly store: Promise<Store>
  readonly hosts: Set<string>
}

/** The databases of all hosts: hosts with equal settings share one, and it is closed with the last of them. */
export class Stores implements AsyncDisposable {
  readonly #tools: StoreTools
  readonly #opened = new Set<Opened>()

  constructor(tools: StoreTools) {
    this.#tools = tools
  }

  /** Databases that are open. */
  get size(): number {
    return this.#opened.size
  }

  /**
   * The host's handle on the database that the settings lead to. A host may use several, one for each setting that it asks
   * with. Rejects as `openStore` does, and may then be asked again.
   */
  async open(host: string, settings: StoreSettings): Promise<HostStore> {
    const opened = this.#find(settings) ?? this.#start(settings)
    opened.hosts.add(host)
    try {
      return (await opened.store).forHost(host)
    } catch (error) {
      this.#opened.delete(opened)
      throw error
    }
  }

  /** The host needs that database no more: at a reload with other settings, or when it is removed. */
  async release(host: string, settings: StoreSettings): Promise<void> {
    const opened = this.#find(settings)
    if (opened === undefined || !opened.hosts.delete(host) || opened.hosts.size > 0) return
    this.#opened.delete(opened)
    await (await opened.store).close()
  }

  /** Commits what is queued and closes all. */
  async close(): Promise<void> {
    const opened = [...this.#opened]
    this.#opened.clear()
    // One that could not be opened has told whoever asked for it.
    await Promise.all(
      opened.map(({ store }) =>
        store.then(
          (open) => open.close(),
          () => undefined,
        ),
      ),
    )
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #find(settings: StoreSettings): Opened | undefined {
    for (const opened of this.#opened) {
      if (isDeepStrictEqual(opened.settings, settings)) return opened
    }
    return undefined
  }

  #start(settings: StoreSettings): Opened {
    const opened = {
      settings,
      store: openStore(settings, this.#tools),
      hosts: new Set<string>(),
    }
    this.#opened.add(opened)
    return opened
  }
}
