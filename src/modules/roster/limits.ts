import type { RosterItems } from './roster-items.ts'

/** ejabberd has no such limit. Rosters that are larger stay as they are, but do not grow. */
export const maxItems = 10_000

/** Requests of strangers that wait for an answer: each costs a row until then (RFC 6121 §3.1.3, last warning). */
export const maxRequests = 1000

export function isFull(items: RosterItems): boolean {
  return items.size >= maxItems
}

export function hasTooManyRequests(items: RosterItems): boolean {
  return items.requests.length >= maxRequests || items.size >= maxItems + maxRequests
}
