import assert from 'node:assert/strict'
import { once } from 'node:events'
import { Readable } from 'node:stream'
import { describe, test } from 'node:test'
import { loadConfig } from '../core/config/load.ts'
import { createSchema } from '../core/config/schema.ts'
import { httpOptions } from './options.ts'
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

describe('request_handlers', () => {
  test('match by the first prefix in the order of the file, by whole segments', async () => {
    await using http = await startHttp({
      handlers: [echo, echoHandler('second'), echoHandler('third')],
      options: 'request_handlers: {/a: echo, /a/b: second, "/c%20d/": third}',
    })
    const ask = async (path: string): Promise<string> => bodyOf(await http.say(get(path)))
    assert.equal(await ask('/a/b/c?x'), 'echo GET /b/c localhost 127.0.0.1')
    assert.equal(await ask('//a'), 'echo GET / localhost 127.0.0.1')
    assert.equal(await ask('/x/../a'), 'echo GET / localhost 127.0.0.1')
    assert.equal(await ask('/c%20d/e'), 'third GET /e localhost 127.0.0.1')
    assert.equal(await ask('/ab'), 'Not Found\n')
    assert.equal(statusOf(await http.say(get('/'))), 404)
    assert.equal(statusOf(await http.say(get('/%ff'))), 400)
  })

  test('change at a reload without closing connections', async () => {
    await using http = await startHttp({
      handlers: [echo],
      options: 'request_handlers: {/a: echo}',
    })
    const socket = await http.connect()
    socket.write('GET /b HTTP/1.1\r\nHost: localhost\r\n\r\n')
    assert.equal(statusOf(await readUntil(socket, 'Found\n')), 404)
    const schema = createSchema({
      modules: [],
      listeners: [['ejabberd_http', httpOptions]],
      handlers: ['echo'],
    })
    const text = `hosts: [localhost]
listen: [{port: 0, module: ejabberd_http, request_handlers: {/b: echo}}]`
    const { config } = await loadConfig({ text, file: 'b.yml' }, schema, {
      version: '0',
      variables: {},
    })
    const options = config?.listeners[0]?.options.as(httpOptions)
    // What the core's listeners hand over was parsed with the module's own options.
    http.acceptor.reload?.(options as never)
    socket.write('GET /b HTTP/1.1\r\nHost: localhost\r\n\r\n')
    assert.equal(statusOf(await readUntil(socket, '127.0.0.1')), 200)
    socket.destroy()
  })
})

describe('custom_headers', () => {
  test('are in every answer and replace headers of the same name', async () => {
    await using http = await startHttp({
      handlers: [handlerOf(() => ({ status: 200, headers: { 'x-frame-options': 'SAMEORIGIN' } }))],
      options: 'request_handlers: {/a: test}, custom_headers: {X-Frame-Options: DENY, X-Me: "1"}',
    })
    for (const request of [get('/a'), get('/none'), 'nonsense\r\n\r\n']) {
      const answer = await http.say(request)
      assert.match(answer, /\r\nX-Frame-Options: DENY\r\n/)
      assert.doesNotMatch(answer, /SAMEORIGIN/)
      assert.match(answer, /\r\nX-Me: 1\r\n/)
    }
  })

  for (const header of ['"X Y": a', 'X: "a\\r\\nB: c"', 'Content-Length: "5"', 'upgrade: x']) {
    test(`cannot be ${header}`, async () => {
      const start = startHttp({ handlers: [], options: `custom_headers: {${header}}` })
      await assert.rejects(start, /header/)
    })
  }
})

describe('X-Forwarded-For', () => {
  const ask = async (trusted: string, header: string): Promise<string> => {
    await using http = await startHttp({
      handlers: [echo],
      options: 'request_handlers: {/: echo}',
      global: `trusted_proxies: ${trusted}`,
    })
    const answer = await http.say(get('/', `X-Forwarded-For: ${header}`))
    return bodyOf(answer).split(' ').at(-1) ?? ''
  }

  const rows: readonly [trusted: string, header: string, client: string][] = [
    ['[]', '192.0.2.1', '127.0.0.1'],
    ['[127.0.0.0/8]', '192.0.2.1', '192.0.2.1'],
    ['[10.0.0.0/8]', '192.0.2.1', '127.0.0.1'],
    ['[127.0.0.1, 10.0.0.0/8]', '192.0.2.1, 10.1.1.1', '192.0.2.1'],
    // Nobody vouches for what the second hop was told.
    ['[127.0.0.1]', '192.0.2.1, 198.51.100.1', '127.0.0.1'],
    ['all', '192.0.2.1, 198.51.100.1', '192.0.2.1'],
    ['all', '::ffff:192.0.2.1', '192.0.2.1'],
    ['all', '2001:DB8::1', '2001:db8::1'],
    ['all', 'somebody', '127.0.0.1'],
    ['all', '192.0.2.1, unknown', '127.0.0.1'],
    ['all', '', '127.0.0.1'],
  ]
  for (const [trusted, header, client] of rows) {
    test(`"${header}" with trusted_proxies ${trusted} is ${client}`, async () => {
      assert.equal(await ask(trusted, header), client)
    })
  }
})

describe('the host', () => {
  const rows: readonly [lines: readonly string[], host: string | number][] = [
    [['GET / HTTP/1.1', 'Host: localhost'], 'localhost'],
    [['GET / HTTP/1.1', 'Host: LocalHost:5280'], 'localhost'],
    [['GET / HTTP/1.1', 'Host: other.example.'], 'other.example'],
    [['GET / HTTP/1.1', 'Host: a.alias.example'], 'other.example'],
    [['GET / HTTP/1.1', 'Host: [::1]:80'], '::1'],
    [['GET / HTTP/1.1', 'Host: 192.0.2.1'], '192.0.2.1'],
    [['GET / HTTP/1.1', 'Host: unknown.example'], 'unknown.example'],
    // RFC 9112 §3.2.2
    [['GET http://other.example/ HTTP/1.1', 'Host: localhost'], 'other.example'],
    [['GET / HTTP/1.1'], 400],
    [['GET / HTTP/1.0'], 400],
    [['GET / HTTP/1.1', 'Host:'], 400],
    [['GET / HTTP/1.1', 'Host: a b'], 400],
    [['GET / HTTP/1.1', 'Host: a/b'], 400],
    [['GET / HTTP/1.1', 'Host: user@localhost'], 400],
    [['GET / HTTP/1.1', 'Host: localhost:99999'], 400],
    [['GET / HTTP/1.1', 'Host: [1]'], 400],
    [['GET / HTTP/1.1', 'Host: localhost', 'Host: localhost'], 400],
    [['GET http://user@localhost/ HTTP/1.1', 'Host: localhost'], 400],
  ]
  for (const [lines, expected] of rows) {
    test(`of ${lines.join(' | ')} is ${expected}`, async () => {
      await using http = await startHttp({
        handlers: [echo],
        options: 'request_handlers: {/: echo}',
        global: 'hosts_alias: {"*.alias.example": other.example}',
      })
      const answer = await http.say(`${lines.join('\r\n')}\r\nConnection: close\r\n\r\n`)
      const host = bodyOf(answer).split(' ').at(-2) ?? ''
      assert.equal(typeof expected === 'number' ? statusOf(answer) : host, expected)
    })
  }
})

describe('methods', () => {
  test('are those of ejabberd; others get 400', async () => {
    await using http = await startHttp({ handlers: [echo], options: 'request_handlers: {/: echo}' })
    for (const method of ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'OPTIONS']) {
      const answer = await http.say(get('/').replace('GET', method))
      assert.equal(statusOf(answer), 200, method)
      const length = `echo ${method} / localhost 127.0.0.1`.length
      assert.match(answer, new RegExp(`Content-Length: ${length}\r\n`))
      if (method === 'HEAD') assert.equal(bodyOf(answer), '')
    }
    for (const method of ['PATCH', 'TRACE', 'PROPFIND', 'CONNECT']) {
      const target = method === 'CONNECT' ? 'a:1' : '/'
      assert.equal(statusOf(await http.say(get(target).replace('GET', method))), 400, method)
    }
    assert.equal(statusOf(await http.say(get('*').replace('GET', 'OPTIONS'))), 200)
  })
})

describe('requests that others might read in another way are refused', () => {
  const smuggled = 'GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n'
  const rows: readonly [name: string, text: string, status: number][] = [
    [
      'Content-Length and Transfer-Encoding',
      `POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${smuggled}`,
      400,
    ],
    [
      'Transfer-Encoding and Content-Length',
      `POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n${smuggled}`,
      400,
    ],
    [
      'two Content-Lengths',
      `POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nContent-Length: 44\r\n\r\n${smuggled}`,
      400,
    ],
    [
      'a list as Content-Length',
      `POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0, 0\r\n\r\n${smuggled}`,
      400,
    ],
    [
      'a sign in Content-Length',
      `POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: +0\r\n\r\n${smuggled}`,
      400,
    ],
    [
      'chunked before another coding',
      `POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n${smuggled}`,
      400,
    ],
    [
      'an unknown coding',
      `POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n${smuggled}`,
      501,
    ],
    [
      'a coding that nobody undoes',
      `POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n${smuggled}`,
      501,
    ],
    [
      'a vertical tab before the coding',
      `POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n${smuggled}`,
      400,
    ],
    [
      'Transfer-Encoding in HTTP/1.0',
      `POST / HTTP/1.0\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${smuggled}`,
      400,
    ],
    ['lines that end in LF', `GET / HTTP/1.1\nHost: localhost\n\n${smuggled}`, 400],
    ['one header that ends in LF', `GET / HTTP/1.1\r\nHost: localhost\nA: b\r\n\r\n`, 400],
    ['a CR within a header', `GET / HTTP/1.1\r\nHost: localhost\r\nA: b\rC: d\r\n\r\n`, 400],
    ['a NUL within a header', `GET / HTTP/1.1\r\nHost: localhost\r\nA: b\0c\r\n\r\n`, 400],
    ['a folded header', `GET / HTTP/1.1\r\nHost: localhost\r\nA: b\r\n c\r\n\r\n`, 400],
    ['a space before the colon', `GET / HTTP/1.1\r\nHost : localhost\r\n\r\n`, 400],
    ['another version', `GET / HTTP/2.0\r\nHost: localhost\r\n\r\n`, 505],
    ['an older version', `GET / HTTP/0.9\r\nHost: localhost\r\n\r\n`, 505],
  ]
  for (const [name, text, status] of rows) {
    test(name, async () => {
      let calls = 0
      const handler = handlerOf(() => {
        calls++
        return { status: 200 }
      })
      await using http = await startHttp({ handlers: [handler], options: anywhere })
      const answer = await http.say(text)
      assert.equal(statusOf(answer), status)
      assert.equal(answer.match(/HTTP\/1\.1 /g)?.length, 1)
      assert.match(answer, /\r\nConnection: close\r\n/i)
      assert.equal(calls, 0)
    })
  }

  test('a chunk that is none ends the connection while its body is read', async () => {
    const handler = handlerOf(async (request) => {
      const body = await request.readBody()
      return { status: 200, body: body.ok ? body.value : body.error }
    })
    await using http = await startHttp({ handlers: [handler], options: anywhere })
    const head = 'POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n'
    for (const chunks of ['1\nx\n0\n\n', '1;\nx\r\n0\r\n\r\n', 'x\r\n', '1\r\nxy0\r\n\r\n']) {
      assert.equal(await http.say(head + chunks), '', JSON.stringify(chunks))
    }
  })
})

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

describe('handlers', () => {
  test('that fail are answered for, and tell clients nothing', async () => {
    const handler = handlerOf((request) => {
      if (request.path === '/sync') throw new Error('a secret')
      if (request.path === '/async') return Promise.reject(new Error('a secret'))
      if (request.path === '/header') {
        return { status: 200, headers: { 'x-a': 'b\r\nSet-Cookie: c', 'x-b': 'd' } }
      }
      return { status: 200, body: 'fine' }
    })
    await using http = await startHttp({ handlers: [handler], options: anywhere })
    for (const path of ['/sync?token=x', '/async', '/header']) {
      const answer = await http.say(get(path))
      assert.equal(statusOf(answer), 500)
      assert.equal(bodyOf(answer), 'Internal Server Error\n')
      assert.doesNotMatch(answer, /secret|Set-Cookie|x-b/i)
    }
    assert.equal(http.logged.length, 3)
    assert.match(http.logged[0] ?? '', /a secret.*"path":"\/sync"/)
    assert.equal(bodyOf(await http.say(get('/'))), 'fine')
  })

  test('whose stream breaks off do not look as if they were done', async () => {
    const handler = handlerOf(() => ({
      status: 200,
      body: Readable.from(
        (async function* () {
          yield 'begin'
          await Promise.resolve()
          throw new Error('disk')
        })(),
      ),
    }))
    await using http = await startHttp({ handlers: [handler], options: anywhere })
    assert.doesNotMatch(await http.say(get('/')), /0\r\n\r\n$/)
  })

  test('may answer with text, bytes, a lot of them, a stream or nothing', async () => {
    const large = Buffer.alloc(1_000_000, 'x')
    const answers = new Map<string, HttpAnswer>([
      ['/text', { status: 200, body: 'ünï' }],
      ['/bytes', { status: 200, body: Buffer.from([1, 2]) }],
      ['/large', { status: 200, body: large }],
      ['/stream', { status: 200, body: Readable.from(['a', 'b']) }],
      ['/none', { status: 204 }],
      ['/same', { status: 304 }],
    ])
    const handler = handlerOf(({ path }) => answers.get(path) ?? { status: 500 })
    await using http = await startHttp({ handlers: [handler], options: anywhere })
    const ask = async (path: string): Promise<string> => http.say(get(path))
    assert.equal(Buffer.from(bodyOf(await ask('/text')), 'latin1').toString(), 'ünï')
    assert.equal(bodyOf(await ask('/bytes')), '\x01\x02')
    assert.equal(bodyOf(await ask('/large')), large.toString())
    assert.match(await ask('/stream'), /(2\r\nab|1\r\na\r\n1\r\nb)\r\n0\r\n\r\n$/)
    for (const path of ['/none', '/same']) {
      const answer = await ask(path)
      assert.equal(bodyOf(answer), '')
      assert.doesNotMatch(answer, /Content-Length|Transfer-Encoding/)
    }
  })

  test('get credentials and query', async () => {
    const handler = handlerOf(({ credentials, query }) => ({
      status: 200,
      body: JSON.stringify([credentials ?? null, query.getAll('a')]),
    }))
    await using http = await startHttp({ handlers: [handler], options: anywhere })
    const ask = async (...headers: string[]): Promise<unknown> =>
      JSON.parse(bodyOf(await http.say(get('/?a=1&a=%20', ...headers))))
    const basic = Buffer.from('a@localhost:p:w').toString('base64')
    assert.deepEqual(await ask(), [null, ['1', ' ']])
    assert.deepEqual(await ask(`Authorization: basic ${basic}`), [
      { kind: 'basic', user: 'a@localhost', password: 'p:w' },
      ['1', ' '],
    ])
    assert.deepEqual(await ask('Authorization: Bearer abc.def'), [
      { kind: 'bearer', token: 'abc.def' },
      ['1', ' '],
    ])
    for (const wrong of [
      'Basic',
      'Basic %',
      'Basic YQ==',
      'Basic /zo=',
      'Digest x',
      'Bearer a b',
    ]) {
      assert.deepEqual(await ask(`Authorization: ${wrong}`), [{ kind: 'malformed' }, ['1', ' ']])
    }
  })

  test('let a client that asks first go on only when they want the body', async () => {
    const handler = handlerOf(async (request) => {
      if (request.path === '/no') return { status: 403 }
      const body = await request.readBody(5)
      return body.ok ? { status: 200, body: body.value } : { status: 413 }
    })
    await using http = await startHttp({ handlers: [handler], options: anywhere })
    const head = (path: string, length: number): string =>
      `PUT ${path} HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: ${length}\r\n\r\n`
    const socket = await http.connect()
    socket.write(head('/yes', 5))
    assert.equal(await readUntil(socket, '\r\n\r\n'), 'HTTP/1.1 100 Continue\r\n\r\n')
    socket.write('12345')
    assert.equal(bodyOf(await readUntil(socket, '12345')), '12345')
    socket.destroy()
    for (const [request, status] of [
      [head('/no', 5), 403],
      [head('/yes', 6), 413],
    ] as const) {
      const answer = await http.say(request)
      assert.equal(statusOf(answer), status)
      assert.match(answer, /Connection: close/)
    }
    const other = head('/yes', 5).replace('100-continue', 'miracles')
    assert.equal(statusOf(await http.say(`${other}12345${get('/no')}`)), 417)
  })
})

test('closing ends idle connections at once and others after their answer', async () => {
  const { promise, resolve } = Promise.withResolvers<HttpAnswer>()
  const asked = Promise.withResolvers<void>()
  const handler = handlerOf(({ path }) => {
    if (path !== '/slow') return { status: 200, body: 'done' }
    asked.resolve()
    return promise
  })
  await using http = await startHttp({ handlers: [handler], options: anywhere })
  const fresh = await http.connect()
  const idle = await http.connect()
  idle.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')
  await readUntil(idle, 'done')
  const busy = await http.connect()
  busy.write('GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n')
  await asked.promise
  await http.acceptor.close()
  assert.equal(await readToEnd(fresh), '')
  assert.equal(await readToEnd(idle), '')
  resolve({ status: 200, body: 'late' })
  const answer = await readToEnd(busy)
  assert.match(answer, /Connection: close/)
  assert.equal(bodyOf(answer), 'late')
})

test('counts what it answers', async () => {
  await using http = await startHttp({ handlers: [echo], options: 'request_handlers: {/a: echo}' })
  await http.say(get('/a'))
  await http.say(get('/'))
  const text = http.metrics.render()
  assert.match(text, /linnet_http_requests_total\{code="2xx"\} 1/)
  assert.match(text, /linnet_http_requests_total\{code="4xx"\} 1/)
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
