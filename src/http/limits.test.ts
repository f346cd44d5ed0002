import assert from 'node:assert/strict'
import { once } from 'node:events'
import { Readable } from 'node:stream'
import { describe, test } from 'node:test'
import type { HttpAnswer } from './handler.ts'
import {
  bodyOf,
  echoHandler,
  get,
  handlerOf,
  readToEnd,
  readUntil,
  startHttp,
  statusOf,
  until,
} from './test-support.ts'

const echo = echoHandler('echo')
const anywhere = 'request_handlers: {/: test}'

describe('limits', () => {
  test('headers that are too long or too many get 431', async () => {
    await using http = await startHttp({
      handlers: [echo],
      options: 'request_handlers: {/: echo}',
      limits: { headBytes: 1000, headers: 10 },
    })
    assert.equal(statusOf(await http.say(get('/', `A: ${'x'.repeat(1000)}`))), 431)
    assert.equal(statusOf(await http.say(get(`/${'x'.repeat(1000)}`))), 431)
    // With Host and Connection.
    const headers = Array.from({ length: 8 }, (_, i) => `X-${i}: a`)
    assert.equal(statusOf(await http.say(get('/', ...headers))), 200)
    assert.equal(statusOf(await http.say(get('/', ...headers, 'X: a'))), 431)
  })

  test('a request that does not come to its end in time gets 408', async () => {
    await using http = await startHttp({
      handlers: [echo],
      options: anywhere.replace('test', 'echo'),
    })
    const socket = await http.connect()
    socket.write('GET / HTTP/1.1\r\nHost')
    await received(http.sockets, 20)
    http.clock.advance(20_000)
    socket.write('X')
    await received(http.sockets, 21)
    http.clock.advance(9_000)
    assert.equal(http.sockets.size, 1)
    http.clock.advance(3_000)
    const answer = await readToEnd(socket)
    assert.equal(statusOf(answer), 408)
  })

  test('a connection without requests is closed after a while, also after some', async () => {
    await using http = await startHttp({ handlers: [echo], options: 'request_handlers: {/: echo}' })
    const silent = await http.connect()
    const socket = await http.connect()
    for (let i = 0; i < 3; i++) {
      socket.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')
      assert.equal(statusOf(await readUntil(socket, '127.0.0.1')), 200)
    }
    http.clock.advance(299_000)
    assert.equal(http.sockets.size, 2)
    http.clock.advance(2_000)
    assert.equal(await readToEnd(silent), '')
    assert.equal(await readToEnd(socket), '')
  })

  test('a body that is too large is told so, and not read', async () => {
    const handler = handlerOf(async (request) => {
      const body = await request.readBody(10)
      return body.ok ? { status: 200, body: body.value } : { status: 413, body: body.error }
    })
    await using http = await startHttp({ handlers: [handler], options: anywhere })
    const post = get('/').replace('GET', 'POST').trimEnd()
    const ask = (rest: string): Promise<string> => http.say(`${post}\r\n${rest}`)
    assert.equal(bodyOf(await ask('Content-Length: 10\r\n\r\n0123456789')), '0123456789')
    assert.equal(
      bodyOf(await ask('Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n')),
      'abc',
    )
    assert.equal(bodyOf(await ask('\r\n')), '')
    assert.equal(bodyOf(await ask('Content-Length: 11\r\n\r\n0123456789')), 'too-large')
    assert.equal(
      bodyOf(await ask('Transfer-Encoding: chunked\r\n\r\nb\r\n01234567890\r\n0\r\n\r\n')),
      'too-large',
    )
  })

  test('a body that does not come ends with a time-out', async () => {
    const { promise: asked, resolve } = Promise.withResolvers<void>()
    const handler = handlerOf(async (request) => {
      const reading = request.readBody()
      resolve()
      const body = await reading
      return { status: 408, body: body.ok ? 'whole' : body.error }
    })
    await using http = await startHttp({ handlers: [handler], options: anywhere })
    const socket = await http.connect()
    socket.write('POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nx')
    await asked
    http.clock.advance(60_000)
    assert.equal(bodyOf(await readUntil(socket, 'timeout')), 'timeout')
    // Nobody waits long for a rest that nobody wants.
    http.clock.advance(10_000)
    assert.equal(await readToEnd(socket), '')
  })

  test('a streamed body may take long, but not stand still', async () => {
    const { promise: failed, resolve } = Promise.withResolvers<unknown>()
    const seen: string[] = []
    let arrived = Promise.withResolvers<void>()
    const handler = handlerOf(async (request) => {
      try {
        for await (const chunk of request.streamBody()) {
          seen.push(String(chunk))
          arrived.resolve()
        }
      } catch (error) {
        resolve(error)
      }
      return { status: 200 }
    })
    await using http = await startHttp({ handlers: [handler], options: anywhere })
    const socket = await http.connect()
    socket.on('error', () => undefined)
    socket.write('PUT / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n')
    for (let i = 0; i < 5; i++) {
      arrived = Promise.withResolvers()
      socket.write(String(i))
      await arrived.promise
      http.clock.advance(29_000)
    }
    assert.equal(seen.join(''), '01234')
    http.clock.advance(60_000)
    assert.match(String(await failed), /stopped sending/)
    socket.destroy()
  })

  test('requests sent without waiting are bounded, and those waiting are given up with it', async () => {
    const bodies: Readable[] = []
    const handler = handlerOf(() => {
      const body = new Readable({ read() {} })
      bodies.push(body)
      return { status: 200, body }
    })
    await using http = await startHttp({
      handlers: [handler],
      options: anywhere,
      limits: { pipelined: 4 },
    })
    const request = 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n'
    const socket = await http.connect()
    socket.write(request.repeat(5))
    await readToEnd(socket)
    await Promise.all(
      bodies.map(async (body) => body.closed || (await once(body, 'close').catch(() => undefined))),
    )
    assert.equal(bodies.length, 4)
    assert.ok(bodies.every(({ destroyed }) => destroyed))
  })

  test('pipelined requests are answered in order', async () => {
    let first: ((answer: HttpAnswer) => void) | undefined
    const handler = handlerOf((request) => {
      if (request.path === '/2') setImmediate(() => first?.({ status: 200, body: 'one' }))
      if (request.path !== '/1') return { status: 200, body: 'two' }
      return new Promise((resolve) => (first = resolve))
    })
    await using http = await startHttp({ handlers: [handler], options: anywhere })
    const answers = await http.say(`GET /1 HTTP/1.1\r\nHost: localhost\r\n\r\n${get('/2')}`)
    assert.match(answers, /one[^]*two$/)
  })

  // shows: listener *.send_timeout
  test('a reader that takes nothing is cut off after send_timeout', async () => {
    const handler = handlerOf(() => ({ status: 200, body: Buffer.alloc(64 * 1024 * 1024) }))
    await using http = await startHttp({ handlers: [handler], options: anywhere })
    const socket = await http.connect()
    socket.on('error', () => undefined)
    socket.pause()
    socket.write(get('/'))
    await stalled(http.sockets)
    http.clock.advance(18_000)
    await until(() => http.sockets.size === 0)
    socket.destroy()
  })
})

type Sockets = ReadonlySet<{ readonly bytesRead: number; readonly bytesWritten: number }>

/** Resolves when the server has read that much on its only connection. */
async function received(sockets: Sockets, bytes: number): Promise<void> {
  const [socket] = sockets
  await until(() => socket === undefined || socket.bytesRead >= bytes)
}

/** Resolves when nothing has left for some turns: buffers of the system are full. */
async function stalled(sockets: Sockets): Promise<void> {
  const [socket] = sockets
  let seen = -1
  for (let calm = 0; calm < 200; calm++) {
    await new Promise((resolve) => setImmediate(resolve))
    const written = socket?.bytesWritten ?? 0
    if (written !== seen || written === 0) calm = 0
    seen = written
  }
}
