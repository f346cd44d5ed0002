import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ModuleServer } from '../../test/support/module-server.ts'
import { formatOffset, time } from './time.ts'

// shows: module mod_time
test('tells the time (XEP-0202)', async () => {
  await using server = await ModuleServer.start([time], { mod_time: {} })
  await using romeo = await server.login('romeo')
  server.xmpp.clock.advance(1500)
  romeo.send(`<iq type='get' id='t' to='localhost'><time xmlns='urn:xmpp:time'/></iq>`)
  const tzo = formatOffset(-new Date(server.xmpp.clock.now()).getTimezoneOffset())
  await romeo.receives(
    `<iq type='result' id='t'><time xmlns='urn:xmpp:time'><tzo>${tzo}</tzo><utc>2026-01-01T00:00:01.500Z</utc></time></iq>`,
  )
})

test('writes offsets from UTC (XEP-0082 §3.1)', () => {
  const rows = [
    [0, 'Z'],
    [60, '+01:00'],
    [-360, '-06:00'],
    [345, '+05:45'],
    [-210, '-03:30'],
    [840, '+14:00'],
  ] as const
  for (const [minutes, written] of rows) assert.equal(formatOffset(minutes), written)
})
