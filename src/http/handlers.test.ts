import assert from 'node:assert/strict'
import { Readable } from 'node:stream'
import { describe, test } from 'node:test'
import type { HttpAnswer } from './handler.ts'
import { bodyOf, get, handlerOf, readUntil, startHttp, statusOf } from './test-support.ts'

const anywhere = 'request_handlers: {/: test}'

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
