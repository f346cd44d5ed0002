import { defineModule } from '../core/module.ts'
import { formatDateTime } from '../xmpp/payloads/date-time.ts'
import { result } from '../xmpp/stanza/stanza-error.ts'
import { xml } from '../xmpp/xml/element.ts'

const ns = 'urn:xmpp:time'

/** Tells the time of the server. */
export const time = defineModule({
  name: 'mod_time',
  specs: ['XEP-0202 2.0'],
  options: {},
  start(ctx) {
    ctx.advertise(ns)
    ctx.handleIq('get', ns, 'time', (iq) => {
      const now = ctx.clock.now()
      const tzo = formatOffset(-new Date(now).getTimezoneOffset())
      return result(
        iq,
        xml('time', ns, {}, xml('tzo', ns, {}, tzo), xml('utc', ns, {}, formatDateTime(now))),
      )
    })
  },
})

/** An offset from UTC in minutes as XEP-0082 §3.1 writes it. */
export function formatOffset(minutes: number): string {
  if (minutes === 0) return 'Z'
  const digits = (value: number): string => String(value).padStart(2, '0')
  const distance = Math.abs(minutes)
  const sign = minutes < 0 ? '-' : '+'
  return `${sign}${digits(Math.floor(distance / 60))}:${digits(distance % 60)}`
}
