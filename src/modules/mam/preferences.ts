import type { LRUCache } from 'lru-cache'
import type { Clock } from '../../core/clock.ts'
import type { HostStore } from '../../core/store.ts'
import {
  bareJid,
  domainpart,
  localpart,
  parseJid,
  parseJidParts,
  resourcepart,
} from '../../xmpp/jid/jid.ts'
import type { Jid } from '../../xmpp/jid/jid.ts'
import { createCache } from '../cache.ts'
import type { CacheValues } from '../cache.ts'
import { xml } from '../../xmpp/xml/element.ts'
import type { Element } from '../../xmpp/xml/element.ts'

export type Policy = 'always' | 'never' | 'roster'

/** What an account wants to have archived (XEP-0313 §6). */
export interface Preferences {
  readonly default: Policy
  readonly always: ReadonlySet<Jid>
  readonly never: ReadonlySet<Jid>
}

/** Above it nobody has so many to tell apart. */
const mostAddresses = 1000

export function isPolicy(text: string | undefined): text is Policy {
  return text === 'always' || text === 'never' || text === 'roster'
}

/** What they say of an address; undefined leaves it to the roster. */
export function decides(preferences: Preferences, peer: Jid): boolean | undefined {
  const bare = bareJid(peer)
  if (preferences.always.has(peer) || preferences.always.has(bare)) return true
  if (preferences.never.has(peer) || preferences.never.has(bare)) return false
  return preferences.default === 'roster' ? undefined : preferences.default === 'always'
}

export function preferencesElement(ns: string, preferences: Preferences): Element {
  const list = (name: 'always' | 'never'): Element =>
    xml(name, ns, {}, ...[...preferences[name]].map((jid) => xml('jid', ns, {}, jid)))
  return xml('prefs', ns, { default: preferences.default }, list('always'), list('never'))
}

/** Undefined for what is none. */
export function readPreferences(element: Element): Preferences | undefined {
  const policy = element.attr('default')
  const always = readList(element.child('always'))
  const never = readList(element.child('never'))
  if (!isPolicy(policy) || always === undefined || never === undefined) return undefined
  return { default: policy, always, never }
}

function readList(list: Element | undefined): Set<Jid> | undefined {
  const jids = new Set<Jid>()
  for (const item of list?.childrenNamed('jid') ?? []) {
    const jid = parseJid(item.text())
    if (!jid.ok || jids.size >= mostAddresses) return undefined
    jids.add(jid.value)
  }
  return jids
}

/** ejabberd's table `archive_prefs`, cached. */
export class PreferencesTable {
  readonly #store: HostStore
  readonly #cache: LRUCache<string, { readonly value: Preferences | undefined }> | undefined
  #writes = 0

  constructor(store: HostStore, options: CacheValues, clock: Clock) {
    this.#store = store
    this.#cache = createCache(options, clock)
  }

  clearCache(): void {
    // What is being read right now is not kept either.
    this.#writes++
    this.#cache?.clear()
  }

  /** Undefined when they are not in memory. */
  cached(local: string): { readonly value: Preferences | undefined } | undefined {
    return this.#cache?.get(local)
  }

  async read(local: string): Promise<Preferences | undefined> {
    const cached = this.#cache?.get(local)
    if (cached !== undefined) return cached.value
    const writes = this.#writes
    const rows = this.#store.table('archive_prefs').select().select(['def', 'always', 'never'])
    const row = await this.#store.first(rows.where('username', '=', local))
    const value =
      row === undefined || !isPolicy(row.def)
        ? undefined
        : { default: row.def, always: readTerm(row.always), never: readTerm(row.never) }
    if (writes === this.#writes) this.#cache?.set(local, { value })
    return value
  }

  async write(local: string, value: Preferences): Promise<void> {
    const { default: def, always, never } = value
    const set = { def, always: writeTerm(always), never: writeTerm(never) }
    const query = this.#store.table('archive_prefs').upsert({ key: { username: local }, set })
    this.#writes++
    const outcome = await this.#store.write(query).settled
    this.#cache?.delete(local)
    if (!outcome.ok) throw outcome.error
    this.#cache?.set(local, { value })
  }

  async remove(local: string): Promise<void> {
    this.#writes++
    const rows = this.#store.table('archive_prefs').delete().where('username', '=', local)
    const outcome = await this.#store.write(rows).settled
    this.#cache?.delete(local)
    if (!outcome.ok) throw outcome.error
  }
}

/** A list of ejabberd's, as Erlang prints it: `[{<<"romeo">>,<<"example.org">>,<<>>}]`. */
function writeTerm(jids: ReadonlySet<Jid>): string {
  const tuples = [...jids].map((jid) => {
    const parts = [localpart(jid), domainpart(jid), resourcepart(jid)]
    return `{${parts.map(writeBinary).join(',')}}`
  })
  return `[${tuples.join(',')}]`
}

function writeBinary(text: string): string {
  if (text === '') return '<<>>'
  if (/^[ !#-[\]-~]*$/.test(text)) return `<<"${text}">>`
  return `<<${[...Buffer.from(text)].join(',')}>>`
}

const binary = /<<(?:"((?:[^"\\]|\\.)*)"(?:\/utf8)?|([\d,\s]*))>>/g

function readTerm(text: string): Set<Jid> {
  const jids = new Set<Jid>()
  const parts: string[] = []
  for (const [, quoted, bytes] of text.matchAll(binary)) {
    parts.push(
      quoted === undefined
        ? Buffer.from(
            (bytes ?? '')
              .split(',')
              .filter((byte) => byte.trim() !== '')
              .map(Number),
          ).toString()
        : quoted.replaceAll(/\\(.)/g, '$1'),
    )
  }
  for (let i = 0; i + 2 < parts.length; i += 3) {
    const jid = parseJidParts(parts[i] ?? '', parts[i + 1] ?? '', parts[i + 2] ?? '')
    if (jid.ok) jids.add(jid.value)
  }
  return jids
}
