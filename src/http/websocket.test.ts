import assert from 'node:assert/strict'
import { once } from 'node:events'
import { describe, test } from 'node:test'
import { highWaterBytes } from '../core/net/tcp-transport.ts'
import { RecordingHandler } from '../core/net/test-support.ts'
import type { RequestHandler, WebSocketTransport } from './handler.ts'
import { readToEnd, readUntil, until } from './test-support.ts'
import {
  clientFrame,
  closeOf,
  connected,
  handshake,
  open,
  start,
} from './websocket/test-support.ts'

describe('a byte stream', () => {
  test('goes both ways with a client of another make', async () => {
    await using setting = await start()
    const client = await connected(setting, ['mqtt'])
    assert.equal(client.protocol, 'mqtt')
    const [server] = setting.sockets
    const [handler] = setting.handlers
    assert.ok(server !== undefined && handler !== undefined)
    for (const size of [0, 1, 125, 126, 0xffff, 0x1_0000, 300_000]) {
      client.send(Buffer.alloc(size, 'a'))
    }
    const total = 1 + 125 + 126 + 0xffff + 0x1_0000 + 300_000
    await handler.until(() => handler.received.length === total)
    assert.ok(handler.received.every((byte) => byte === 97))
    const got: Buffer[] = []
    client.on('message', (data, isBinary) => {
      assert.ok(isBinary && Buffer.isBuffer(data))
      got.push(data)
    })
    const large = Buffer.alloc(200_000, 'b')
    server.write(large)
    server.write(Buffer.from('end'))
    await until(() => got.reduce((sum, { length }) => sum + length, 0) === large.length + 3)
    assert.ok(got.every(({ length }) => length <= 64 * 1024))
    assert.deepEqual(Buffer.concat(got), Buffer.concat([large, Buffer.from('end')]))
    client.close(1000)
    await handler.until(() => handler.reason !== undefined)
    assert.equal(handler.reason?.kind, 'ended')
  })

  test('puts the writes of a turn into one frame and one packet', async () => {
    await using setting = await start()
    const { client, server } = await open(setting)
    const chunks: Buffer[] = []
    client.on('data', (chunk) => chunks.push(Buffer.from(chunk)))
    const source = Buffer.from('..copied..')
    const shared = Buffer.from('shared ')
    server.write(shared)
    server.writeCopy(source, 2, 8)
    server.writeText(' ünï ')
    server.write(shared)
    source.fill(0)
    const payload = Buffer.from('shared copied ünï shared ')
    await until(() => chunks.length > 0)
    assert.deepEqual(chunks, [Buffer.concat([Buffer.from([0x82, payload.length]), payload])])
    assert.equal(shared.toString(), 'shared ')
    client.destroy()
  })

  test('is handed on piece by piece, whatever the frames', async () => {
    await using setting = await start()
    const { client, handler } = await open(setting)
    const frames = Buffer.concat([
      clientFrame(2, 'one ', { isFinal: false }),
      clientFrame(9, 'mid'),
      clientFrame(0, 'two ', { isFinal: false }),
      clientFrame(0, 'three'),
    ])
    for (const byte of frames) client.write(Buffer.from([byte]))
    await handler.until(() => handler.text === 'one two three')
    assert.equal(await readUntil(client, 'mid'), '\x8a\x03mid')
    // The end of a message is not waited for.
    client.write(clientFrame(2, 'x'.repeat(100)).subarray(0, 50))
    await handler.until(() => handler.text.endsWith('x'.repeat(44)))
    client.destroy()
  })

  test('gives back what was read with views only good during the call', async () => {
    let kept: Buffer = Buffer.alloc(0)
    const heard = Promise.withResolvers<void>()
    await using setting = await start({
      handlerFor: () => ({
        data(buffer, start, end) {
          kept = buffer.subarray(start, end)
          setImmediate(heard.resolve)
        },
        closed() {},
      }),
    })
    const { client } = await open(setting)
    client.write(clientFrame(2, 'view'))
    await heard.promise
    assert.deepEqual([...kept], [0xdb, 0xdb, 0xdb, 0xdb])
    client.destroy()
  })

  test('says when a reader is slow, and when it reads again', async () => {
    await using setting = await start()
    const { client, server, handler } = await open(setting)
    client.pause()
    const block = Buffer.alloc(16 * 1024, 'x')
    let sent = 0
    let isFull = false
    for (let turn = 0; turn < 10_000 && !isFull; turn++) {
      sent += block.length
      isFull = !server.write(block)
      await new Promise((resolve) => setImmediate(resolve))
    }
    assert.ok(isFull)
    assert.ok(server.bufferedBytes >= highWaterBytes)
    assert.equal(handler.drains, 0)
    let payload = 0
    client.on('data', (chunk) => {
      for (const byte of chunk) if (byte === 0x78) payload++
    })
    client.resume()
    await handler.until(() => handler.drains > 0)
    await until(() => payload === sent)
    assert.equal(handler.drains, 1)
    client.destroy()
  })

  test('says drain once for a large write that the system takes at once', async () => {
    await using setting = await start()
    const { client, server, handler } = await open(setting)
    client.resume()
    assert.equal(server.write(Buffer.alloc(highWaterBytes)), false)
    await handler.until(() => handler.drains > 0)
    assert.equal(handler.drains, 1)
    client.destroy()
  })

  test('can be paused', async () => {
    await using setting = await start()
    const { client, server, handler } = await open(setting)
    server.pause()
    client.write(clientFrame(2, 'late'))
    const [socket] = setting.http.sockets
    await new Promise((resolve) => setImmediate(resolve))
    const before = handler.text
    assert.equal(before, '')
    server.resume()
    await handler.until(() => handler.text === 'late')
    assert.ok(socket !== undefined)
    client.destroy()
  })

  test('keeps no queue for who pings without reading', async () => {
    await using setting = await start()
    const { client, server } = await open(setting)
    client.pause()
    const ping = clientFrame(9, 'x'.repeat(125))
    const pings = Buffer.concat(Array.from({ length: 500 }, () => ping))
    for (let i = 0; i < 400; i++) {
      if (!client.write(pings)) await once(client, 'drain')
      assert.ok(server.bufferedBytes < 2 * highWaterBytes)
    }
    await until(() => server.bytesRead > 400 * pings.length * 0.9)
    assert.ok(server.bufferedBytes < 2 * highWaterBytes)
    client.destroy()
  })
})

describe('messages of text', () => {
  test('go one by one, with a client of another make', async () => {
    const heard: string[] = []
    const ended = Promise.withResolvers<void>()
    await using setting = await start({
      mode: 'text',
      maxMessageBytes: 100_000,
      handlerFor: (transport) => ({
        data(buffer, start, end) {
          const text = buffer.toString('utf8', start, end)
          heard.push(text.length > 100 ? `${text.length}` : text)
          if (text === 'send') {
            transport.writeText('ünï')
            transport.write(Buffer.from('<a/>'))
            transport.writeCopy(Buffer.from('..<b/>'), 2, 6)
            transport.write(Buffer.alloc(70_000, 'x'))
            transport.writeText('')
          }
        },
        closed: () => ended.resolve(),
      }),
    })
    const client = await connected(setting)
    const got: string[] = []
    client.on('message', (data, isBinary) => {
      assert.ok(!isBinary && Buffer.isBuffer(data))
      got.push(data.length > 100 ? `${data.length}` : data.toString())
    })
    client.send('')
    client.send('ä'.repeat(40_000))
    client.send('frag', { fin: false })
    client.send('men', { fin: false })
    client.send('ted')
    client.send('send')
    await until(() => got.length === 5)
    assert.deepEqual(heard, ['', '40000', 'fragmented', 'send'])
    assert.deepEqual(got, ['ünï', '<a/>', '<b/>', '70000', ''])
    client.close()
    await ended.promise
  })

  test('have to be UTF-8, joined from fragments wherever they were cut (RFC 6455 §8.1)', async () => {
    await using setting = await start({ mode: 'text', maxMessageBytes: 100 })
    const good = await open(setting)
    const text = Buffer.from('€')
    good.client.write(
      Buffer.concat([
        clientFrame(1, text.subarray(0, 1), { isFinal: false }),
        clientFrame(0, text.subarray(1)),
      ]),
    )
    await good.handler.until(() => good.handler.received.length === 3)
    assert.equal(good.handler.received.toString(), '€')
    good.client.destroy()
    for (const bytes of ['\xff', '\xc0\x80', '\xed\xa0\x80', '\xf4\x90\x80\x80', 'a\xe2\x82']) {
      const { client, handler } = await open(setting)
      client.write(clientFrame(1, bytes))
      assert.equal(closeOf(await readToEnd(client)), '1007 not UTF-8')
      assert.equal(handler.reason?.kind, 'error')
    }
  })

  test('have a limit', async () => {
    await using setting = await start({ mode: 'text', maxMessageBytes: 10 })
    const { client, handler } = await open(setting)
    client.write(clientFrame(1, '0123456789'))
    client.write(clientFrame(1, '0123456789', { isFinal: false }))
    client.write(clientFrame(0, 'a'))
    assert.equal(closeOf(await readToEnd(client)), '1009 the message is too big')
    assert.equal(handler.text, '0123456789')
  })

  test('of many small fragments cost no more than their bytes', async () => {
    await using setting = await start({ mode: 'text', maxMessageBytes: 100_000 })
    const { client, handler } = await open(setting)
    const fragment = clientFrame(0, 'x', { isFinal: false })
    client.write(clientFrame(1, 'x', { isFinal: false }))
    client.write(Buffer.concat(Array.from({ length: 50_000 }, () => fragment)))
    client.write(clientFrame(0, 'x'))
    await handler.until(() => handler.received.length === 50_002)
    client.destroy()
  })
})

describe('a broken rule closes with its code', () => {
  const rows: readonly [name: string, bytes: Buffer, close: string][] = [
    ['no mask', Buffer.from([0x82, 1, 0]), '1002 frames of clients have to be masked'],
    ['a reserved bit', Buffer.from([0xc2, 0x80, 0, 0, 0, 0]), '1002 reserved bits are set'],
    ['an unknown opcode', clientFrame(3, ''), '1002 unknown kind of frame'],
    ['text in a byte stream', clientFrame(1, 'x'), '1003 text is not expected here'],
    ['a Close of one byte', clientFrame(8, 'x'), '1002 invalid code in a Close frame'],
    ['code 1005', clientFrame(8, '\x03\xed'), '1002 invalid code in a Close frame'],
    ['code 999', clientFrame(8, '\x03\xe7'), '1002 invalid code in a Close frame'],
    ['code 2999', clientFrame(8, '\x0b\xb7'), '1002 invalid code in a Close frame'],
    [
      'a reason that is not UTF-8',
      clientFrame(8, '\x03\xe8\xff'),
      '1007 the reason of a Close frame is not UTF-8',
    ],
  ]
  for (const [name, bytes, close] of rows) {
    test(name, async () => {
      await using setting = await start()
      const { client, handler } = await open(setting)
      client.write(Buffer.concat([clientFrame(2, 'before'), bytes, clientFrame(2, 'after')]))
      assert.equal(closeOf(await readToEnd(client)), close)
      assert.equal(handler.text, 'before')
      assert.equal(handler.reason?.kind, 'error')
    })
  }

  test('a handler that throws: 1011, and the others go on', async () => {
    await using setting = await start({
      handlerFor: (transport) => ({
        data() {
          if (setting.sockets.indexOf(transport) === 0) throw new Error('a bug')
          transport.writeText('fine')
        },
        closed() {},
      }),
    })
    const first = await open(setting)
    const second = await open(setting)
    first.client.write(clientFrame(2, 'x'))
    assert.equal(closeOf(await readToEnd(first.client)), '1011')
    second.client.write(clientFrame(2, 'x'))
    await readUntil(second.client, 'fine')
    assert.match(setting.http.logged.join(''), /a bug/)
    second.client.destroy()
  })
})

describe('closing', () => {
  test('sends what is queued, then Close, and waits for the answer (RFC 6455 §7.1.1)', async () => {
    await using setting = await start()
    const { client, server, handler } = await open(setting)
    server.writeText('last')
    server.close()
    assert.ok(server.isClosed)
    server.writeText('too late')
    assert.equal(await readUntil(client, '\x88\x02\x03\xe8'), '\x82\x04last\x88\x02\x03\xe8')
    client.write(clientFrame(2, 'not heard'))
    client.write(clientFrame(8, '\x03\xe8'))
    assert.equal(await readToEnd(client), '')
    await handler.until(() => handler.reason !== undefined)
    assert.deepEqual(handler.reason, { kind: 'local' })
    assert.equal(handler.text, '')
  })

  test('can say why', async () => {
    await using setting = await start()
    const client = await connected(setting)
    setting.sockets[0]?.closeWith(1008, 'no')
    const [code, reason] = await once(client, 'close')
    assert.equal(code, 1008)
    assert.equal(String(reason), 'no')
  })

  test('says 1001 when the server goes', async () => {
    await using setting = await start()
    const client = await connected(setting)
    await setting.http.acceptor.close()
    setting.sockets[0]?.close()
    assert.equal((await once(client, 'close'))[0], 1001)
  })

  test('does not wait for ever', async () => {
    await using setting = await start()
    const { client, server, handler } = await open(setting)
    server.close()
    await readUntil(client, '\x88')
    setting.http.clock.advance(12_000)
    await handler.until(() => handler.reason !== undefined)
    await until(() => setting.http.sockets.size === 0)
    client.destroy()
  })

  test('by the peer is answered with its code', async () => {
    for (const payload of ['\x03\xe8', '\x03\xe9bye', '\x0f\xa0', '']) {
      await using setting = await start()
      const { client, server, handler } = await open(setting)
      server.writeText('x')
      client.write(clientFrame(8, payload))
      const code = payload.slice(0, 2)
      const close = `\x88${String.fromCharCode(code.length)}${code}`
      assert.equal(await readToEnd(client), `\x82\x01x${close}`)
      assert.deepEqual(handler.reason, { kind: 'ended' })
    }
  })

  test('without any Close is noticed', async () => {
    await using setting = await start()
    const { client, handler } = await open(setting)
    client.end()
    await handler.until(() => handler.reason !== undefined)
    assert.deepEqual(handler.reason, { kind: 'ended' })
    client.destroy()
  })

  test('by force throws away what is queued', async () => {
    await using setting = await start()
    const { client, server, handler } = await open(setting)
    server.writeText('lost')
    server.destroy()
    assert.equal(await readToEnd(client), '')
    assert.deepEqual(handler.reason, { kind: 'local' })
  })

  test('before anybody is attached works, and is told to who comes later', async () => {
    const opened: WebSocketTransport[] = []
    const handler: RequestHandler = {
      name: 'test',
      upgrade: () => ({
        subprotocol: undefined,
        mode: 'binary',
        maxMessageBytes: 1,
        open(transport) {
          opened.push(transport)
          transport.close()
        },
      }),
    }
    await using setting = await start({ handlers: [handler] })
    const client = await setting.http.connect()
    client.write(handshake())
    await readUntil(client, '\x88\x02\x03\xe8')
    client.write(clientFrame(8, '\x03\xe8'))
    await readToEnd(client)
    await until(() => setting.http.sockets.size === 0)
    const recording = new RecordingHandler()
    opened[0]?.attach(recording)
    await recording.until(() => recording.reason !== undefined)
    assert.deepEqual(recording.reason, { kind: 'local' })
  })

  test('TLS cannot start within', async () => {
    await using setting = await start()
    const { client, server } = await open(setting)
    const contexts = { contextFor: () => undefined }
    await assert.rejects(server.startTls({ contexts, requestCertificate: false }), /TLS/)
    client.destroy()
  })
})

describe('silence', () => {
  const global = 'websocket_ping_interval: 10 s\nwebsocket_timeout: 100 s'

  // shows: option websocket_ping_interval
  test('is answered with pings; who answers them stays', async () => {
    await using setting = await start({ global })
    const client = await connected(setting)
    const [server] = setting.sockets
    for (let round = 0; round < 30; round++) {
      const before = server?.bytesRead ?? 0
      const pinged = once(client, 'ping')
      setting.http.clock.advance(11_000)
      await pinged
      await until(() => (server?.bytesRead ?? 0) > before)
    }
    assert.equal(server?.isClosed, false)
    client.terminate()
  })

  test('after a ping ends the connection', async () => {
    await using setting = await start({ global })
    const { client, server, handler } = await open(setting)
    setting.http.clock.advance(11_000)
    await readUntil(client, '\x89\x00')
    assert.equal(server.isClosed, false)
    setting.http.clock.advance(11_000)
    await handler.until(() => handler.reason !== undefined)
    assert.deepEqual(handler.reason, { kind: 'timeout' })
    client.destroy()
  })

  test('is not what a client keeps that sends anything', async () => {
    await using setting = await start({ global })
    const { client, handler } = await open(setting)
    for (let round = 0; round < 10; round++) {
      client.write(clientFrame(2, 'x'))
      await handler.until(() => handler.text.length === round + 1)
      setting.http.clock.advance(8_000)
    }
    assert.equal(client.read(), null)
    assert.equal(handler.reason, undefined)
    client.destroy()
  })

  test('is not blamed on who is not read', async () => {
    await using setting = await start({ global })
    const { client, server, handler } = await open(setting)
    server.pause()
    setting.http.clock.advance(500_000)
    assert.equal(handler.reason, undefined)
    server.resume()
    client.write(clientFrame(2, 'here'))
    await handler.until(() => handler.text === 'here')
    client.destroy()
  })

  // shows: option websocket_timeout
  test('has an end of its own where pings are rarer', async () => {
    await using setting = await start({
      global: 'websocket_ping_interval: 1 h\nwebsocket_timeout: 100 s',
    })
    const { client, handler } = await open(setting)
    setting.http.clock.advance(99_000)
    assert.equal(handler.reason, undefined)
    setting.http.clock.advance(2_000)
    assert.equal(closeOf(await readUntil(client, 'idle')), '1001 idle')
    client.destroy()
  })
})
