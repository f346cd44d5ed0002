import { err, ok } from '../../util/result.ts'
import type { Result } from '../../util/result.ts'
import { bareJid, parseJid } from '../../xmpp/jid/jid.ts'
import { dataFormsNs } from '../../xmpp/payloads/data-form.ts'
import { parseDateTime } from '../../xmpp/payloads/date-time.ts'
import { readPageRequest, rsmNs } from '../../xmpp/payloads/result-set.ts'
import type { PageRequest } from '../../xmpp/payloads/result-set.ts'
import type { Element } from '../../xmpp/xml/element.ts'
import type { ArchiveFilter } from './archive-table.ts'

export const defaultPage = 50
export const largestPage = 250
/** Ids that a query may name. */
const mostIds = 1000

export interface ArchiveQuery {
  readonly queryId: string | undefined
  readonly filter: ArchiveFilter
  readonly page: PageRequest
  /** The newest of the page comes first (XEP-0313 §4.3.5). */
  readonly isFlipped: boolean
}

/** The id of an archived message; undefined for what can be none of ours. */
export function archiveId(text: string): number | undefined {
  if (!/^\d{1,16}$/.test(text)) return undefined
  const id = Number(text)
  return Number.isSafeInteger(id) ? id : undefined
}

/** Reads `<query/>` (XEP-0313 §4.1). The error is `item-not-found`, or a text that says what is wrong with the query. */
export function readArchiveQuery(query: Element): Result<ArchiveQuery, string> {
  const page = readPageRequest(query.child('set', rsmNs))
  if (!page.ok) return page
  const filter: { -readonly [Key in keyof ArchiveFilter]: ArchiveFilter[Key] } = {}
  const form = query.child('x', dataFormsNs)
  for (const field of form?.childrenNamed('field') ?? []) {
    const name = field.attr('var') ?? ''
    const values = field.childrenNamed('value').map((value) => value.text())
    const [value = ''] = values
    switch (name) {
      case 'FORM_TYPE':
        if (value !== query.ns) return err('FORM_TYPE is another')
        break
      case 'start':
      case 'end': {
        const ms = parseDateTime(value)
        if (ms === undefined) return err(`"${name}" is no date and time`)
        // All of the last millisecond.
        filter[name] = ms * 1000 + (name === 'end' ? 999 : 0)
        break
      }
      case 'with': {
        const jid = parseJid(value)
        if (!jid.ok) return err('"with" is no address')
        filter.with = { jid: jid.value, isBare: jid.value === bareJid(jid.value) }
        break
      }
      case 'before-id':
      case 'after-id': {
        const id = archiveId(value)
        if (id === undefined) return err('item-not-found')
        filter[name === 'before-id' ? 'before' : 'after'] = id
        break
      }
      case 'ids': {
        const ids = values.map(archiveId).filter((id) => id !== undefined)
        if (ids.length !== values.length) return err('item-not-found')
        if (ids.length === 0 || ids.length > mostIds) return err('"ids" has none, or too many')
        filter.ids = [...new Set(ids)]
        break
      }
      case 'withtext':
      case '{urn:xmpp:fulltext:0}fulltext':
        filter.text = value
        break
      default:
        // XEP-0313 §4.1.1
        return err(`The field "${name}" is not known`)
    }
  }
  return ok({
    queryId: query.attr('queryid'),
    filter,
    page: page.value,
    isFlipped: query.child('flip-page') !== undefined,
  })
}
