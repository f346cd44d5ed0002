import { accountRemoved } from '../../core/account.ts'
import { subjectOf } from '../../core/access.ts'
import { cachesCleared } from '../../core/caches.ts'
import { defineModule } from '../../core/module.ts'
import { access } from '../../core/shared.ts'
import { messageArchived, stanzaSent } from '../../xmpp/hooks.ts'
import { bareJid, localpart } from '../../xmpp/jid/jid.ts'
import { dataFormsNs } from '../../xmpp/payloads/data-form.ts'
import { formatDateTime } from '../../xmpp/payloads/date-time.ts'
import { delayElement } from '../../xmpp/payloads/delay.ts'
import { forwarded } from '../../xmpp/payloads/forwarded.ts'
import { resultSet } from '../../xmpp/payloads/result-set.ts'
import { router } from '../../xmpp/router.ts'
import type { Session } from '../../xmpp/session.ts'
import { errorReply, result } from '../../xmpp/stanza/stanza-error.ts'
import { createMessage, payloadOf } from '../../xmpp/stanza/stanza.ts'
import type { Iq } from '../../xmpp/stanza/stanza.ts'
import { xml } from '../../xmpp/xml/element.ts'
import { Archive, stanzaIdNs } from './archive.ts'
import type { ArchivedMessage } from './archive.ts'
import { readArchiveQuery } from './archive-query.ts'
import { ArchiveTable } from './archive-table.ts'
import { mamCommands } from './commands.ts'
import { mamOptions } from './options.ts'
import { PreferencesTable, preferencesElement, readPreferences } from './preferences.ts'
import type { Preferences } from './preferences.ts'

const ns = 'urn:xmpp:mam:2'
/** Messages of a page that are queued before looking whether the client keeps up. */
const batchSize = 25

/** What commands ask of it. */
export interface MamApi {
  readonly table: ArchiveTable
}

/** An archive for each account, which its clients read. */
export const mam = defineModule({
  name: 'mod_mam',
  specs: ['XEP-0313 1.1.2', 'XEP-0441 0.2.0', 'XEP-0359 0.7.0', 'XEP-0059 1.0', 'XEP-0431 0.3.0'],
  options: mamOptions,
  start(ctx): MamApi {
    const routes = ctx.service(router)
    const hooks = routes.host(ctx.host)?.hooks
    if (hooks === undefined) throw new Error(`The host "${ctx.host}" has no XMPP router`)
    const table = new ArchiveTable(ctx.store)
    const preferences = new PreferencesTable(ctx.store, ctx.options, ctx.clock)
    ctx.on(cachesCleared, () => preferences.clearCache())
    const archive = new Archive({
      table,
      preferences,
      hooks,
      sessions: routes.sessions,
      clock: ctx.clock,
      log: ctx.log,
      options: () => ctx.options,
    })
    const on = ['host', 'account'] as const
    for (const feature of [ns, `${ns}#extended`, stanzaIdNs, 'urn:xmpp:fulltext:0']) {
      ctx.advertise(feature, { on })
    }
    ctx.on(messageArchived, (message, account, sender) =>
      archive.received(message, account, sender),
    )
    ctx.on(
      stanzaSent,
      (stanza, session) => {
        if (stanza.kind === 'message') archive.sent(stanza, session)
        return undefined
      },
      // Behind those that change or drop what is sent.
      85,
    )
    ctx.on(accountRemoved, async (account) => {
      const outcome = await table.removeAll(localpart(account)).settled
      if (!outcome.ok) throw outcome.error
      await preferences.remove(localpart(account))
    })

    const own = (handler: (iq: Iq, session: Session) => Iq | Promise<Iq>) => {
      return (iq: Iq, session: Session | undefined): Iq | Promise<Iq> =>
        session === undefined || bareJid(iq.to) !== session.account
          ? errorReply(iq, 'forbidden')
          : handler(iq, session)
    }
    const stored = (session: Session): Promise<Preferences | undefined> =>
      preferences.read(localpart(session.account))
    const usual = (): Preferences => {
      return { default: ctx.options.default, always: new Set(), never: new Set() }
    }

    /** `request_activates_archiving` */
    const activate = async (session: Session): Promise<void> => {
      if (!ctx.options.request_activates_archiving || (await stored(session)) !== undefined) return
      await preferences.write(localpart(session.account), usual())
    }

    const answerQuery = async (iq: Iq, session: Session): Promise<Iq> => {
      const payload = payloadOf(iq)
      if (payload === undefined) return errorReply(iq, 'bad-request')
      const query = readArchiveQuery(payload)
      if (!query.ok) {
        return query.error === 'item-not-found'
          ? errorReply(iq, 'item-not-found')
          : errorReply(iq, 'bad-request', { text: query.error })
      }
      await activate(session)
      const page = await archive.page(session.account, query.value)
      if (!page.ok) return errorReply(iq, page.error)
      const { messages, isComplete, count } = page.value
      const { queryId, isFlipped } = query.value
      const ordered = isFlipped ? messages.toReversed() : messages
      for (const [index, message] of ordered.entries()) {
        send(session, queryId, message)
        // A slow client must not be taken for one that hangs.
        if (index % batchSize === batchSize - 1) await session.drained()
      }
      const idOf = (message: ArchivedMessage | undefined): string | undefined =>
        message === undefined ? undefined : String(message.id)
      const set = resultSet({ first: idOf(messages[0]), last: idOf(messages.at(-1)), count })
      const complete = isComplete ? 'true' : undefined
      return result(iq, xml('fin', ns, { complete, queryid: queryId }, set))
    }

    ctx.handleIq('set', ns, 'query', own(answerQuery), { on: 'account' })
    ctx.handleIq(
      'get',
      ns,
      'query',
      own((iq) => result(iq, fieldsForm())),
      { on: 'account' },
    )
    ctx.handleIq(
      'get',
      ns,
      'metadata',
      own(async (iq, session) => {
        const names = ['start', 'end'] as const
        const items = (await archive.bounds(session.account)).map((id, index) =>
          xml(names[index] ?? 'end', ns, { id: String(id), timestamp: stampOf(id) }),
        )
        return result(iq, xml('metadata', ns, {}, ...items))
      }),
      { on: 'account' },
    )
    ctx.handleIq(
      'get',
      ns,
      'prefs',
      own(async (iq, session) => {
        await activate(session)
        return result(iq, preferencesElement(ns, (await stored(session)) ?? usual()))
      }),
      { on: 'account' },
    )
    ctx.handleIq(
      'set',
      ns,
      'prefs',
      own(async (iq, session) => {
        const rule = ctx.options.access_preferences
        const subject = subjectOf(session.jid, session.ip)
        if (!ctx.service(access).isAllowed(rule, subject, session.host)) {
          return errorReply(iq, 'forbidden', { text: 'Access denied by service policy' })
        }
        const wanted = readPreferences(payloadOf(iq) ?? xml('prefs', ns))
        if (wanted === undefined) return errorReply(iq, 'bad-request')
        await preferences.write(localpart(session.account), wanted)
        return result(iq, preferencesElement(ns, wanted))
      }),
      { on: 'account' },
    )
    for (const command of mamCommands) ctx.command(command)
    return { table }
  },
  // Every option is read when it is needed.
  reload: () => undefined,
})

function stampOf(id: number): string {
  return formatDateTime(Math.floor(id / 1000))
}

/** XEP-0313 §4.2 */
function send(session: Session, queryid: string | undefined, message: ArchivedMessage): void {
  const { account: from, jid: to, host } = session
  const { id, element } = message
  const delay = delayElement(host, Math.floor(id / 1000))
  const payload = xml('result', ns, { queryid, id: String(id) }, forwarded(element, delay))
  session.queue(createMessage('normal', { from, to }, payload))
}

/** What a query may ask for (XEP-0313 §4.1.5). */
function fieldsForm() {
  const field = (name: string, type: string) => xml('field', dataFormsNs, { type, var: name })
  return xml(
    'query',
    ns,
    {},
    xml(
      'x',
      dataFormsNs,
      { type: 'form' },
      xml(
        'field',
        dataFormsNs,
        { type: 'hidden', var: 'FORM_TYPE' },
        xml('value', dataFormsNs, {}, ns),
      ),
      field('with', 'jid-single'),
      field('start', 'text-single'),
      field('end', 'text-single'),
      field('before-id', 'text-single'),
      field('after-id', 'text-single'),
      field('ids', 'list-multi'),
      field('withtext', 'text-single'),
      field('{urn:xmpp:fulltext:0}fulltext', 'text-single'),
    ),
  )
}
