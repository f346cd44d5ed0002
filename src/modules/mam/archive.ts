import type { Clock } from '../../core/clock.ts'
import type { Hooks } from '../../core/hooks.ts'
import type { Log } from '../../core/log.ts'
import type { ValuesOf } from '../../core/options.ts'
import { err, ok } from '../../util/result.ts'
import type { Result } from '../../util/result.ts'
import { contactOf, isSubscribedTo, isSubscriber } from '../../xmpp/contacts.ts'
import { bareJid, localpart } from '../../xmpp/jid/jid.ts'
import type { BareJid, Jid } from '../../xmpp/jid/jid.ts'
import type { Session } from '../../xmpp/session.ts'
import type { Sessions } from '../../xmpp/sessions.ts'
import type { Message } from '../../xmpp/stanza/stanza.ts'
import { xml } from '../../xmpp/xml/element.ts'
import type { Element } from '../../xmpp/xml/element.ts'
import { parseElement } from '../../xmpp/xml/parse-element.ts'
import { toXml } from '../../xmpp/xml/write.ts'
import { isArchivable } from './archivable.ts'
import { archiveId, defaultPage, largestPage } from './archive-query.ts'
import type { ArchiveQuery } from './archive-query.ts'
import type { ArchiveFilter, ArchiveTable } from './archive-table.ts'
import type { mamOptions } from './options.ts'
import { decides } from './preferences.ts'
import type { PreferencesTable } from './preferences.ts'

export const stanzaIdNs = 'urn:xmpp:sid:0'

export interface ArchiveParts {
  readonly table: ArchiveTable
  readonly preferences: PreferencesTable
  readonly hooks: Hooks
  readonly sessions: Sessions
  readonly clock: Clock
  readonly log: Log
  readonly options: () => ValuesOf<typeof mamOptions>
}

export interface ArchivedMessage {
  readonly id: number
  readonly element: Element
}

export interface ArchivePage {
  /** In order of time. */
  readonly messages: readonly ArchivedMessage[]
  /** There is nothing more behind it, or in front of it when it was asked for backwards. */
  readonly isComplete: boolean
  /** Of everything that the query means, on whatever page. */
  readonly count: number
}

/** Keeps the messages of accounts, and finds them again (XEP-0313). */
export class Archive {
  readonly #parts: ArchiveParts
  #lastId = 0

  constructor(parts: ArchiveParts) {
    this.#parts = parts
  }

  /** For `messageArchived`. */
  received(
    message: Message,
    account: BareJid,
    sender: Session | undefined,
  ): Message | Promise<Message | 'failed' | undefined> | undefined {
    const isNew = sender !== undefined || stanzaIdOf(message.element, account) === undefined
    // One that the server itself sends on once more is in the archive already.
    if (!isNew) return undefined
    const clean = withoutStanzaId(message, account)
    if (!isArchivable(message)) return clean
    const wanted = this.#wants(account, message.from)
    if (wanted instanceof Promise) {
      return wanted.then((isWanted) => (isWanted ? this.#keepReceived(clean, account) : clean))
    }
    return wanted ? this.#keepReceived(clean, account) : clean
  }

  /** What a client sends, whoever gets it; to the own account it is received as well. */
  sent(message: Message, session: Session): void {
    const { account } = session
    if (bareJid(message.to) === account || !isArchivable(message)) return
    const keep = (): Promise<unknown> => this.#keep(message, account, message.to, this.#newId())
    const wanted = this.#wants(account, message.to)
    if (wanted instanceof Promise) {
      session.commits(wanted.then((isWanted) => (isWanted ? keep() : undefined)))
    } else if (wanted) session.commits(keep())
  }

  async page(
    account: BareJid,
    query: ArchiveQuery,
  ): Promise<Result<ArchivePage, 'item-not-found'>> {
    const { table } = this.#parts
    const local = localpart(account)
    const { filter, page } = query
    const isBackwards = page.before !== undefined
    const after = page.after === undefined ? undefined : archiveId(page.after)
    const before =
      page.before === undefined || page.before === '' ? undefined : archiveId(page.before)
    const isUnknown =
      (page.after !== undefined && after === undefined) ||
      (page.before !== undefined && page.before !== '' && before === undefined)
    const named = [after, before, filter.after, filter.before].filter((id) => id !== undefined)
    const ids = [...new Set([...named, ...(filter.ids ?? [])])]
    if (isUnknown || (ids.length > 0 && (await table.count(local, { ids })) < ids.length)) {
      return err('item-not-found')
    }
    const count = await table.count(local, filter)
    const max = Math.min(page.max ?? defaultPage, largestPage)
    if (max === 0) return ok({ messages: [], isComplete: count === 0, count })
    const bounded: ArchiveFilter = {
      ...filter,
      after: largest(filter.after, after),
      before: smallest(filter.before, before),
    }
    const rows = await table.read(local, bounded, isBackwards ? 'desc' : 'asc', max + 1)
    const wanted = rows.slice(0, max)
    if (isBackwards) wanted.reverse()
    const messages = wanted.flatMap(({ timestamp, xml: text }) => {
      const element = parseElement(text)
      if (element.ok) return [{ id: timestamp, element: element.value }]
      this.#parts.log.warn(
        { account, id: timestamp, reason: element.error.detail },
        'Archived message cannot be read',
      )
      return []
    })
    return ok({ messages, isComplete: rows.length <= max, count })
  }

  /** The oldest and the newest. */
  async bounds(account: BareJid): Promise<readonly number[]> {
    const local = localpart(account)
    const [oldest] = await this.#parts.table.read(local, {}, 'asc', 1)
    const [newest] = await this.#parts.table.read(local, {}, 'desc', 1)
    return [oldest, newest].flatMap((entry) => (entry === undefined ? [] : [entry.timestamp]))
  }

  #keepReceived(
    message: Message,
    account: BareJid,
  ): Message | Promise<Message | 'failed' | undefined> {
    const id = this.#newId()
    const writing = this.#keep(message, account, message.from, id)
    const archived = {
      ...message,
      element: message.element.append(
        xml('stanza-id', stanzaIdNs, { by: account, id: String(id) }),
      ),
    }
    const [session] = this.#parts.sessions.forAccount(account)
    if (session === undefined) return writing.then((isKept) => (isKept ? archived : 'failed'))
    session.commits(writing)
    return archived
  }

  async #keep(message: Message, account: BareJid, peer: Jid, id: number): Promise<boolean> {
    const { table, log } = this.#parts
    const { element } = message
    const outcome = await table.add({
      local: localpart(account),
      timestamp: id,
      peer,
      barePeer: bareJid(peer),
      xml: toXml(element),
      body: element.childText('body') ?? '',
      originId: element.child('origin-id', stanzaIdNs)?.attr('id') ?? '',
    }).settled
    if (!outcome.ok) log.error({ err: outcome.error, account }, 'Message cannot be archived')
    return outcome.ok
  }

  /** Microseconds since 1970, and never the same twice, so that they can be ids. */
  #newId(): number {
    this.#lastId = Math.max(this.#parts.clock.now() * 1000, this.#lastId + 1)
    return this.#lastId
  }

  /** Whether the account wants to have archived what goes between it and the other. */
  #wants(account: BareJid, peer: Jid): boolean | Promise<boolean> {
    const local = localpart(account)
    if (local === '') return false
    const cached = this.#parts.preferences.cached(local)
    if (cached === undefined) return this.#wantsLater(account, peer)
    const { default: policy, request_activates_archiving: onRequest } = this.#parts.options()
    const empty = { default: policy, always: noJids, never: noJids }
    if (cached.value === undefined && onRequest) return false
    return decides(cached.value ?? empty, peer) ?? this.#isContact(account, peer)
  }

  async #wantsLater(account: BareJid, peer: Jid): Promise<boolean> {
    const { default: policy, request_activates_archiving: onRequest } = this.#parts.options()
    const stored = await this.#parts.preferences.read(localpart(account))
    if (stored === undefined && onRequest) return false
    const empty = { default: policy, always: noJids, never: noJids }
    return decides(stored ?? empty, peer) ?? (await this.#isContact(account, peer))
  }

  async #isContact(account: BareJid, peer: Jid): Promise<boolean> {
    const contact = await contactOf(this.#parts.hooks, account, bareJid(peer))
    return isSubscriber(contact) || isSubscribedTo(contact) || contact.name !== ''
  }
}

const noJids: ReadonlySet<Jid> = new Set()

function largest(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined ? b : b === undefined ? a : Math.max(a, b)
}

function smallest(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined ? b : b === undefined ? a : Math.min(a, b)
}

function stanzaIdOf(element: Element, by: BareJid): string | undefined {
  return element
    .childrenNamed('stanza-id', stanzaIdNs)
    .find((child) => child.attr('by') === by)
    ?.attr('id')
}

/** XEP-0359 §5: whoever puts our name on an id is lying. */
function withoutStanzaId(message: Message, account: BareJid): Message {
  if (stanzaIdOf(message.element, account) === undefined) return message
  const element = message.element.without(
    (child) =>
      child.name === 'stanza-id' && child.ns === stanzaIdNs && child.attr('by') === account,
  )
  return { ...message, element }
}
