/** A point in time as XEP-0082 §3.2 writes it, in UTC: `2026-01-01T00:00:00Z`, with a fraction where there is one. */
export function formatDateTime(ms: number): string {
  return new Date(ms).toISOString().replace('.000Z', 'Z')
}

const dateTime = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)$/

/** Milliseconds since 1970; undefined for what is no XEP-0082 date and time. */
export function parseDateTime(text: string): number | undefined {
  if (!dateTime.test(text)) return undefined
  const ms = Date.parse(text)
  return Number.isNaN(ms) ? undefined : ms
}
