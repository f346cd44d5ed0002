import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Bystander, Intruder, MiB, Target } from './hostile-target.ts'

/*
 * Peers that begin something and never end it: a byte now and then keeps them from being silent, and must not keep them from
 * being thrown out. The limits are of seconds (30 for most), so all attacks go on at the same time.
 */

const streamHead = `<?xml version='1.0'?><stream:stream to='localhost' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>`

interface Attack {
  readonly name: string
  readonly port: Parameters<Target['port']>[0]
  /** Sent at once. */
  readonly first: Uint8Array | string
  /** Sent again and again. */
  readonly drop: Uint8Array | string
}

const connectBeginning = Buffer.from([0x10, 0xff, 0x7f, 0, 4, 0x4d, 0x51, 0x54, 0x54, 5])
/** A TLS record of a ClientHello that says that it has 508 bytes (RFC 8446 §4, §5.1). */
const helloBeginning = Buffer.from([0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3])

const attacks: readonly Attack[] = [
  {
    name: 'an XMPP stream head',
    port: 'xmpp',
    first: streamHead.slice(0, 60),
    drop: ' ',
  },
  { name: 'XMPP white space', port: 'xmpp', first: streamHead, drop: '\n' },
  { name: 'an XMPP client that is silent', port: 'xmpp', first: streamHead, drop: '' },
  {
    name: 'STARTTLS',
    port: 'xmpp',
    first: `${streamHead}<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>`,
    drop: '',
  },
  { name: 'a TLS handshake for XMPP', port: 'xmppTls', first: helloBeginning, drop: '\0' },
  { name: 'no TLS handshake at all', port: 'xmppTls', first: '', drop: '' },
  { name: 'a TLS handshake for MQTT', port: 'mqttTls', first: helloBeginning, drop: '' },
  { name: 'an MQTT CONNECT', port: 'mqtt', first: connectBeginning, drop: '\0' },
  { name: 'no MQTT CONNECT at all', port: 'mqtt', first: '', drop: '' },
  {
    name: 'the headers of an HTTP request',
    port: 'http',
    first: 'GET / HTTP/1.1\r\nX: ',
    drop: 'x',
  },
]
const perAttack = 60

test('peers that never finish what they began are thrown out', async (t) => {
  await using target = await Target.start()
  const bystander = await Bystander.start(target)
  const quiet = target.descriptors
  const growth = await target.growthDuring(async () => {
    await Promise.all(
      attacks.map(async ({ name, port, first, drop }) => {
        const startedAt = performance.now()
        const intruders = Array.from({ length: perAttack }, () => {
          return new Intruder(target.port(port), first)
        })
        const dripping = setInterval(() => {
          for (const intruder of intruders) {
            if (drop !== '' && !intruder.isClosed) intruder.socket.write(drop)
          }
        }, 200)
        await Promise.all(intruders.map(({ closed }) => closed))
        clearInterval(dripping)
        const seconds = ((performance.now() - startedAt) / 1000).toFixed(1)
        t.diagnostic(`${name}: thrown out after ${seconds} s`)
      }),
    )
  })
  t.diagnostic(await bystander.stop())
  t.diagnostic(`grew by ${Math.round(growth / MiB)} MiB`)
  assert.ok(growth < 96 * MiB, `${growth}`)
  assert.ok(target.descriptors <= quiet, 'Sockets were left open')
})
