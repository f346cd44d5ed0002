import type { RosterItem } from './item.ts'
import { listedBytesOf } from './roster-items.ts'
import type { RosterItems } from './roster-items.ts'

/** ejabberd has no such limit. Rosters that are larger stay as they are, but do not grow. */
export const maxItems = 10_000

/** A client gets its roster in one stanza. */
export const maxListedBytes = 4 * 1024 * 1024

/** Requests of strangers that wait for an answer: each costs a row until then (RFC 6121 §3.1.3, last warning). */
export const maxRequests = 1000

/** Whether it takes no more items. */
export function isFull(items: RosterItems): boolean {
  return items.size >= maxItems || items.listedBytes >= maxListedBytes
}

/** Whether an item would become larger than there is room for. */
export function isTooLarge(items: RosterItems, before: RosterItem, after: RosterItem): boolean {
  const more = listedBytesOf(after) - listedBytesOf(before)
  return more > 0 && items.listedBytes + more > maxListedBytes
}

export function hasTooManyRequests(items: RosterItems): boolean {
  return items.requests.length >= maxRequests || items.size >= maxItems + maxRequests
}
