import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { TestClock } from '../clock.ts'
import { highWaterBytes } from './tcp-transport.ts'
import { openPair, readAll, readBytes } from './test-support.ts'

test('hands over what it reads and writes what it is given, in order', async () => {
  await using pair = await openPair()
  pair.client.write('ping')
  await pair.handler.until(() => pair.handler.text === 'ping')
  const source = Buffer.from('..copied..')
  pair.server.write(Buffer.from('one '))
  pair.server.writeCopy(source, 2, 8)
  pair.server.writeText(' ünï ')
  pair.server.write(Buffer.from('end'))
  source.fill(0)
  const expected = Buffer.from('one copied ünï end')
  assert.deepEqual(await readBytes(pair.client, expected.length), expected)
  assert.equal(pair.server.bytesRead, 4)
  assert.equal(pair.server.bytesWritten, expected.length)
  assert.equal(pair.server.bufferedBytes, 0)
  assert.equal(pair.server.kind, 'tcp')
  assert.equal(pair.server.peer.ip, '127.0.0.1')
  assert.equal(pair.server.local.port, pair.client.remotePort)
})

test('gives the kernel one piece for all small writes of a turn', async () => {
  await using pair = await openPair()
  const sizes: number[] = []
  pair.client.on('data', (chunk) => sizes.push(chunk.length))
  for (let i = 0; i < 1000; i++) pair.server.write(Buffer.from('0123456789'))
  while (sizes.reduce((a, b) => a + b, 0) < 10_000) await once(pair.client, 'data')
  assert.deepEqual(sizes, [10_000])
})

test('overwrites the read buffer after the callback when poisoned', async () => {
  await using pair = await openPair()
  let kept: Buffer = Buffer.alloc(0)
  const { promise, resolve } = Promise.withResolvers<void>()
  pair.server.attach({
    data(buffer, start, end) {
      kept = buffer.subarray(start, end)
      setImmediate(resolve)
    },
    closed() {},
  })
  pair.client.write('view')
  await promise
  assert.deepEqual([...kept], [0xdb, 0xdb, 0xdb, 0xdb])
  pair.server.attach(pair.handler)
})

test('leaves a shared buffer as it is', async () => {
  await using pair = await openPair()
  const shared = Buffer.from('shared')
  pair.server.write(shared)
  pair.server.writeText('more')
  pair.server.write(shared)
  assert.equal((await readBytes(pair.client, 16)).toString(), 'sharedmoreshared')
  assert.equal(shared.toString(), 'shared')
})

test('reports a frozen reader and drains when it reads again', async () => {
  await using pair = await openPair()
  const block = Buffer.alloc(16 * 1024, 'x')
  let sent = 0
  let refusedAt = 0
  // What the kernel takes for a peer that reads nothing is its own affair; then write has to say no.
  for (let turn = 0; turn < 10_000; turn++) {
    sent += block.length
    if (!pair.server.write(block)) {
      const { promise, resolve } = Promise.withResolvers<void>()
      setImmediate(resolve)
      await promise
      if (pair.server.bufferedBytes >= highWaterBytes) {
        refusedAt = sent
        break
      }
    }
  }
  assert.ok(refusedAt > 0)
  assert.ok(pair.server.bufferedBytes < highWaterBytes + 2 * block.length)
  const drains = pair.handler.drains
  pair.client.resume()
  await pair.handler.until(() => pair.handler.drains > drains)
  assert.ok(pair.server.bufferedBytes < highWaterBytes)
})

test('a handler that feeds only until told to stop keeps its buffer bounded and loses nothing', async () => {
  await using pair = await openPair()
  const total = 8 * 1024 * 1024
  const block = Buffer.alloc(10_000, 'y')
  let left = total
  let most = 0
  const feed = (): void => {
    while (left > 0) {
      const piece = left < block.length ? block.subarray(0, left) : block
      left -= piece.length
      const goesOn = pair.server.write(piece)
      most = Math.max(most, pair.server.bufferedBytes)
      if (!goesOn) return
    }
    pair.server.close()
  }
  pair.server.attach({ data() {}, drain: feed, closed: (reason) => pair.handler.closed(reason) })
  feed()
  const all = await readAll(pair.client)
  pair.client.end()
  assert.equal(all.length, total)
  assert.ok(most <= highWaterBytes + block.length, `${most}`)
})

test('pauses and resumes reading', async () => {
  await using pair = await openPair()
  pair.server.pause()
  pair.client.write('later')
  pair.server.writeText('mark')
  await readBytes(pair.client, 4)
  assert.equal(pair.handler.text, '')
  pair.server.resume()
  await pair.handler.until(() => pair.handler.text === 'later')
})

test('writes what is queued before it closes', async () => {
  await using pair = await openPair()
  pair.server.write(Buffer.alloc(1_000_000, 'z'))
  pair.server.writeText('bye')
  pair.server.close()
  assert.ok(pair.server.isClosed)
  pair.server.writeText('too late')
  const all = await readAll(pair.client)
  assert.equal(all.length, 1_000_003)
  assert.equal(all.subarray(-3).toString(), 'bye')
  assert.equal(pair.handler.reason, undefined)
  pair.client.end()
  await pair.handler.until(() => pair.handler.reason !== undefined)
  assert.deepEqual(pair.handler.reason, { kind: 'local' })
})

test('destroys a connection whose peer does not close its side in time', async () => {
  const clock = new TestClock()
  await using pair = await openPair({ clock, graceMs: 5000 })
  pair.server.close()
  await once(pair.client.resume(), 'end')
  clock.advance(4999)
  assert.equal(pair.handler.reason, undefined)
  clock.advance(1)
  await pair.handler.until(() => pair.handler.reason !== undefined)
  assert.deepEqual(pair.handler.reason, { kind: 'local' })
})

test('answers a peer that closed its side, then closes', async () => {
  await using pair = await openPair()
  pair.server.attach({
    data: () => void pair.server.writeText('answer'),
    closed: (reason) => pair.handler.closed(reason),
  })
  pair.client.end('question')
  assert.equal((await readAll(pair.client)).toString(), 'answer')
  await pair.handler.until(() => pair.handler.reason !== undefined)
  assert.deepEqual(pair.handler.reason, { kind: 'ended' })
})

test('reports a reset', async () => {
  await using pair = await openPair()
  pair.client.resetAndDestroy()
  await pair.handler.until(() => pair.handler.reason !== undefined)
  assert.equal(pair.handler.reason?.kind, 'error')
})

test('closes a connection that takes nothing for send_timeout', async () => {
  const clock = new TestClock()
  await using pair = await openPair({ clock, sendTimeoutMs: 15_000 })
  // More than two socket buffers hold.
  pair.server.write(Buffer.alloc(32 * 1024 * 1024))
  while (pair.handler.reason === undefined) {
    await new Promise((resolve) => setImmediate(resolve))
    clock.advance(1000)
  }
  assert.deepEqual(pair.handler.reason, { kind: 'timeout' })
})

test('a handler that throws loses its own connection only', async () => {
  await using pair = await openPair()
  await using other = await openPair()
  pair.server.attach({
    data() {
      throw new TypeError('a bug')
    },
    closed: (reason) => pair.handler.closed(reason),
  })
  pair.client.write('x')
  await pair.handler.until(() => pair.handler.reason !== undefined)
  assert.equal(pair.handler.reason?.kind, 'error')
  other.client.write('still there')
  await other.handler.until(() => other.handler.text === 'still there')
})

test('tells a handler that comes too late that the connection is closed', async () => {
  await using pair = await openPair()
  pair.client.resetAndDestroy()
  await pair.handler.until(() => pair.handler.reason !== undefined)
  assert.ok(pair.server.isClosed)
  assert.equal(pair.server.write(Buffer.from('nobody')), true)
})
