import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { HttpAnswer } from './handler.ts'
import { httpOptions } from './options.ts'
import {
  bodyOf,
  configOf,
  echoHandler,
  get,
  handlerOf,
  readToEnd,
  readUntil,
  startHttp,
  statusOf,
} from './test-support.ts'

const echo = echoHandler('echo')
const anywhere = 'request_handlers: {/: test}'

describe('request_handlers', () => {
  // shows: listener ejabberd_http.request_handlers
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
    const config = await configOf({ handlers: [echo], options: 'request_handlers: {/b: echo}' })
    const options = config.listeners[0]?.options.as(httpOptions)
    // What the core's listeners hand over was parsed with the module's own options.
    http.acceptor.reload?.(options as never)
    socket.write('GET /b HTTP/1.1\r\nHost: localhost\r\n\r\n')
    assert.equal(statusOf(await readUntil(socket, '127.0.0.1')), 200)
    socket.destroy()
  })
})

describe('custom_headers', () => {
  // shows: listener ejabberd_http.custom_headers
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
    // shows: option trusted_proxies
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
    // shows: option hosts_alias
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
