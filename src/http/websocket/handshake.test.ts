import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { HttpAnswer, RequestHandler } from '../handler.ts'
import { get, readToEnd, readUntil, statusOf, until } from '../test-support.ts'
import { clientFrame, handshake, key, open, start } from './test-support.ts'

describe('the handshake', () => {
  test('is that of RFC 6455 §1.3, with the subprotocol that was chosen', async () => {
    await using setting = await start({
      options: 'request_handlers: {/ws: test}, custom_headers: {X-Me: "1"}',
      global: 'trusted_proxies: all',
    })
    const client = await setting.http.connect()
    client.write(handshake('Sec-WebSocket-Protocol: mqtt, mqttv3.1', 'X-Forwarded-For: 192.0.2.1'))
    const head = await readUntil(client, '\r\n\r\n')
    const [first, ...lines] = head.trimEnd().split('\r\n')
    assert.equal(first, 'HTTP/1.1 101 Switching Protocols')
    assert.deepEqual(lines.toSorted(), [
      'Connection: Upgrade',
      'Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=',
      'Sec-WebSocket-Protocol: mqtt',
      'Upgrade: websocket',
      'X-Me: 1',
    ])
    const [request] = setting.requests
    assert.deepEqual(request?.subprotocols, ['mqtt', 'mqttv3.1'])
    assert.deepEqual(request?.segments, ['a'])
    assert.equal(request?.host, 'localhost')
    const [socket] = setting.sockets
    assert.equal(socket?.peer.ip, '192.0.2.1')
    assert.equal(socket?.kind, 'websocket')
    assert.equal(socket?.tls, undefined)
    assert.equal(socket?.subprotocol, 'mqtt')
    client.destroy()
  })

  const refusals: readonly [name: string, request: string, status: number, pattern?: RegExp][] = [
    ['without Upgrade', get('/ws'), 426, /upgrade: websocket\r\n/i],
    ['of another protocol', get('/ws', 'Connection: Upgrade', 'Upgrade: h2c'), 426],
    ['of version 8', handshake().replace(': 13', ': 8'), 426, /Sec-WebSocket-Version: 13\r\n/i],
    ['without version', handshake().replace(/Sec-WebSocket-Version.*\r\n/, ''), 426],
    ['without key', handshake().replace(/Sec-WebSocket-Key.*\r\n/, ''), 400],
    ['with a short key', handshake().replace(key, 'AAAA'), 400],
    ['with two keys', handshake(`Sec-WebSocket-Key: ${key}`), 400],
    ['with POST', handshake().replace('GET', 'POST'), 400],
    ['of HTTP/1.0', handshake().replace('HTTP/1.1', 'HTTP/1.0'), 400],
    ['with a body', `${handshake('Content-Length: 1')}x`, 400],
    ['with a subprotocol that is no token', handshake('Sec-WebSocket-Protocol: a b'), 400],
    ['from another site', handshake('Origin: https://evil.example'), 403],
    ['from no site', handshake('Origin: null'), 403],
    ['from another port', handshake('Origin: https://good.example:444'), 403],
    ['from the right site', handshake('Origin: https://GOOD.example:443'), 101],
    ['from no browser', handshake(), 101],
    ['where there is nothing', handshake().replace('/ws', '/no'), 404],
  ]
  for (const [name, request, status, pattern = /^/] of refusals) {
    // shows: option websocket_origin
    test(`${name} gets ${status}`, async () => {
      await using setting = await start({ global: 'websocket_origin: [https://good.example/]' })
      const client = await setting.http.connect()
      client.write(request)
      const answer = await readUntil(client, '\r\n\r\n')
      assert.equal(statusOf(answer), status)
      assert.match(answer, pattern)
      assert.equal(setting.sockets.length, status === 101 ? 1 : 0)
      client.destroy()
    })
  }

  test('can be refused by the handler', async () => {
    await using setting = await start({ refuse: { status: 401, body: 'no' } })
    assert.equal(statusOf(await setting.http.say(handshake('Connection: close'))), 401)
  })

  test('cannot choose a subprotocol that was not asked for', async () => {
    const handler: RequestHandler = {
      name: 'test',
      upgrade: () => ({
        subprotocol: 'mqtt',
        mode: 'binary',
        maxMessageBytes: 1,
        open() {},
      }),
    }
    await using setting = await start({ handlers: [handler] })
    assert.equal(statusOf(await setting.http.say(handshake('Connection: close'))), 500)
  })

  test('is refused while an answer is still to come', async () => {
    const answer = Promise.withResolvers<HttpAnswer>()
    const handler: RequestHandler = {
      name: 'test',
      handle: () => answer.promise,
      upgrade: () => assert.fail('not to be called'),
    }
    await using setting = await start({ handlers: [handler] })
    const client = await setting.http.connect()
    client.write(`GET /ws HTTP/1.1\r\nHost: localhost\r\n\r\n${handshake('Connection: close')}`)
    await until(() => [...setting.http.sockets][0]?.bytesRead !== 0)
    answer.resolve({ status: 200, body: 'first' })
    assert.match(await readToEnd(client), /first[^]*HTTP\/1\.1 400/)
  })

  test('may bring frames along', async () => {
    await using setting = await start()
    const client = await setting.http.connect()
    client.write(
      Buffer.concat([Buffer.from(handshake()), clientFrame(2, 'early'), clientFrame(2, ' bird')]),
    )
    await until(() => setting.handlers.length > 0)
    await setting.handlers[0]?.until(() => setting.handlers[0]?.text === 'early bird')
    client.destroy()
  })

  test('leaves nothing of HTTP on the connection', async () => {
    await using setting = await start()
    const { client, server } = await open(setting)
    setting.http.clock.advance(20_000)
    assert.equal(server.isClosed, false)
    const [socket] = setting.http.sockets
    assert.equal(socket?.listenerCount('data'), 1)
    assert.equal(Reflect.get(socket ?? {}, 'parser'), null)
    client.destroy()
  })
})
