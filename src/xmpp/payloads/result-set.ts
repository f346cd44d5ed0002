import { err, ok } from '../../util/result.ts'
import type { Result } from '../../util/result.ts'
import { xml } from '../xml/element.ts'
import type { Element } from '../xml/element.ts'

export const rsmNs = 'http://jabber.org/protocol/rsm'

/** Which page of a result is wanted (XEP-0059 §2). */
export interface PageRequest {
  /** Items of a page; undefined leaves it to us. 0 asks for the count only. */
  readonly max: number | undefined
  /** The page behind this item. */
  readonly after: string | undefined
  /** The page in front of this item; '' is the last one. */
  readonly before: string | undefined
}

export function readPageRequest(set: Element | undefined): Result<PageRequest, string> {
  const text = set?.childText('max')?.trim()
  if (text !== undefined && !/^\d{1,9}$/.test(text)) return err('"max" is not a number')
  const before = set?.child('before')?.text()
  const after = set?.childText('after')
  return ok({
    max: text === undefined ? undefined : Number(text),
    after: after === '' ? undefined : after,
    before,
  })
}

/** What a page was (XEP-0059 §2.2). */
export function resultSet(page: {
  readonly first: string | undefined
  readonly last: string | undefined
  readonly count: number
}): Element {
  const item = (name: string, value: string | undefined): Element | undefined =>
    value === undefined ? undefined : xml(name, rsmNs, {}, value)
  return xml(
    'set',
    rsmNs,
    {},
    item('first', page.first),
    item('last', page.last),
    item('count', String(page.count)),
  )
}
