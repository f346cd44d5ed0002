import assert from 'node:assert/strict'
import { test } from 'node:test'
import { authorityOf, parseEndpoint } from './endpoint.ts'

const rows: readonly [url: string, version: number, tls: boolean, web: boolean, where: string][] = [
  ['mqtt://hub.example', 4, false, false, 'hub.example:1883/'],
  ['mqtts://hub.example', 4, true, false, 'hub.example:8883/'],
  ['mqtt5://hub.example/', 5, false, false, 'hub.example:1883/'],
  ['mqtt5s://hub.example:18883', 5, true, false, 'hub.example:18883/'],
  ['ws://hub.example/mqtt', 4, false, true, 'hub.example:80/mqtt'],
  ['wss://hub.example', 4, true, true, 'hub.example:443/'],
  ['ws5://hub.example:8080/a/b?c=d', 5, false, true, 'hub.example:8080/a/b?c=d'],
  ['wss5://[2001:db8::1]:8443/mqtt', 5, true, true, '[2001:db8::1]:8443/mqtt'],
  ['mqtt://192.0.2.1:1884', 4, false, false, '192.0.2.1:1884/'],
]

for (const [url, version, isSecure, isWebSocket, where] of rows) {
  test(`knows what ${url} means`, () => {
    const endpoint = parseEndpoint(url)
    assert.ok(endpoint.ok)
    const { value } = endpoint
    assert.deepEqual(
      [value.version, value.isSecure, value.isWebSocket],
      [version, isSecure, isWebSocket],
    )
    assert.equal(`${authorityOf(value)}${value.path}`, where)
  })
}

const faults = [
  ['hub.example', 'not-a-url'],
  ['mqtt://', 'not-a-url'],
  ['mqtt://hub.example:0', 'not-a-url'],
  ['http://hub.example', 'unknown-scheme'],
  ['mqtt://site:secret@hub.example', 'credentials'],
  ['mqtt://hub.example/topic', 'path'],
  ['ws://hub.example/mqtt#x', 'fragment'],
] as const

for (const [url, fault] of faults) {
  test(`refuses ${url} (${fault})`, () => {
    assert.deepEqual(parseEndpoint(url), { ok: false, error: fault })
  })
}
