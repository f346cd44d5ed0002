import assert from 'node:assert/strict'
import { once } from 'node:events'
import { existsSync, statSync } from 'node:fs'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { silentLog } from '../core/log.ts'
import { ControlSocket, callServer, controlSocketPath } from './control-socket.ts'
import type { ControlRequest } from './control-socket.ts'

interface DataDir extends AsyncDisposable {
  readonly path: string
}

async function makeDataDir(name = 'data'): Promise<DataDir> {
  const root = await mkdtemp(join(tmpdir(), 'linnet-control-'))
  const path = join(root, name)
  await mkdir(path, { recursive: true })
  return {
    path,
    async [Symbol.asyncDispose]() {
      await rm(root, { recursive: true, force: true })
    },
  }
}

const echo = async (request: ControlRequest): Promise<{ exit: number; output: string }> => ({
  exit: request.words.length,
  output: JSON.stringify(request),
})

test('carries words and options to the server, and its answer back', async () => {
  await using dir = await makeDataDir()
  await using _socket = await ControlSocket.open(dir.path, echo, silentLog)
  const request = { words: ['register', 'ünal', 'line\nbreak'], version: 2 }
  assert.deepEqual(await callServer(dir.path, request), {
    exit: 3,
    output: JSON.stringify(request),
  })
})

test('knows when no server is running', async () => {
  await using dir = await makeDataDir()
  assert.equal(await callServer(dir.path, { words: ['status'] }), undefined)
  {
    await using _socket = await ControlSocket.open(dir.path, echo, silentLog)
  }
  assert.equal(await callServer(dir.path, { words: ['status'] }), undefined)
})

test('keeps a second server off the same data directory, but not the successor of one that died', async () => {
  await using dir = await makeDataDir()
  const first = await ControlSocket.open(dir.path, echo, silentLog)
  await assert.rejects(ControlSocket.open(dir.path, echo, silentLog), /Another server is running/)
  await first[Symbol.asyncDispose]()
  await using _second = await ControlSocket.open(dir.path, echo, silentLog)
  assert.equal((await callServer(dir.path, { words: [] }))?.exit, 0)
})

test('lets nobody in but the user that runs the server', async () => {
  await using dir = await makeDataDir()
  await using _socket = await ControlSocket.open(dir.path, echo, silentLog)
  const { path } = controlSocketPath(dir.path)
  assert.equal(statSync(path).mode & 0o777, 0o600)
})

test('finds a short place for the socket when the data directory has a long name', async () => {
  await using dir = await makeDataDir('long/'.repeat(30))
  const { path, isRecorded } = controlSocketPath(dir.path)
  assert.ok(isRecorded)
  assert.ok(Buffer.byteLength(path) <= 107)
  {
    await using _socket = await ControlSocket.open(dir.path, echo, silentLog)
    assert.equal((await callServer(dir.path, { words: ['a'] }))?.exit, 1)
  }
  assert.equal(existsSync(path), false)
})

test('refuses what is no request', async () => {
  await using dir = await makeDataDir()
  await using _socket = await ControlSocket.open(dir.path, echo, silentLog)
  for (const line of ['hello', '[]', '{"words":"status"}', '{"words":[1]}', 'null']) {
    const socket = connect(controlSocketPath(dir.path).path)
    socket.setEncoding('utf8')
    let answer = ''
    socket.on('data', (text: string) => {
      answer += text
    })
    socket.write(`${line}\n`)
    await once(socket, 'end')
    assert.deepEqual(JSON.parse(answer), {
      exit: 1,
      output: 'Error: malformed control request\n',
    })
  }
})
