import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { callServer } from '../../src/admin/control-socket.ts'
import { MqttClient } from './mqtt-client.ts'
import { serverConfig } from './rounds.ts'
import { ServerProcess } from './server-process.ts'
import { noStrace, tracing } from './strace.ts'
import type { SystemCall } from './system-calls.ts'
import { readSystemCalls } from './system-calls.ts'

/** So many messages, one after the other. */
const messages = 5
const payloadOf = (index: number): string => `kept-for-good-${index}`
/** The first packet identifier that a client uses is 1; without subscribers there is a reason code of 16 (MQTT5 3.4.2.1). */
const pubackOf = (index: number): string => `"@\\3\\0\\${index + 1}\\20"`

/** The system calls of a server that was sent retained messages of QoS 1, and acknowledged each before it got the next. */
async function traceOf(env: Readonly<Record<string, string>>): Promise<readonly SystemCall[]> {
  const dir = await mkdtemp(join(tmpdir(), 'linnet-strace-'))
  try {
    const trace = join(dir, 'trace')
    const wrapper = tracing(
      ['pwrite64', 'pwritev', 'write', 'writev', 'sendto', 'sendmsg', 'fsync', 'fdatasync'],
      trace,
    )
    await using server = await ServerProcess.start({
      dataDir: dir,
      config: serverConfig,
      env,
      wrapper,
    })
    const registered = await callServer(dir, { words: ['register', 'user', 'localhost', 'secret'] })
    assert.equal(registered?.exit, 0)
    await using client = await MqttClient.connect({
      port: server.port(1),
      clientIdentifier: 'client',
      userName: 'user@localhost',
      password: 'secret',
    })
    for (let index = 0; index < messages; index++) {
      const payload = Buffer.from(payloadOf(index))
      const answer = await client.publish({ topic: 'a/b', payload, qos: 1, retain: true })
      assert.equal(answer, 'acknowledged')
    }
    await client.end()
    await callServer(dir, { words: ['stop'] })
    await server.ended
    return readSystemCalls(await readWhole(trace, server.pid))
  } finally {
    await rm(dir, { recursive: true })
  }
}

/** The end of the server comes last; strace may still be writing when the server has gone. */
async function readWhole(path: string, pid: number): Promise<string> {
  for (;;) {
    const trace = await readFile(path, 'latin1')
    if (new RegExp(`^${pid} +\\+\\+\\+ exited`, 'm').test(trace)) return trace
    await wait(10)
  }
}

/** For each message how often the database was told to reach the disk between the write and the acknowledgement. */
function syncsBetween(calls: readonly SystemCall[]): readonly number[] {
  const isFile = (call: SystemCall): boolean => /^\w+\(\d+<[^>]*linnet\.sqlite/.test(call.text)
  return Array.from({ length: messages }, (_, index) => {
    const written = calls.find((call) => isFile(call) && call.text.includes(payloadOf(index)))
    assert.ok(written, `message ${index} was never written`)
    const acknowledged = calls.find(
      (call) => call.began > written.ended && call.text.includes(pubackOf(index)),
    )
    assert.ok(acknowledged, `message ${index} was not acknowledged after it was written`)
    return calls.filter(
      ({ name, began, ended }) =>
        (name === 'fdatasync' || name === 'fsync') &&
        began > written.began &&
        ended < acknowledged.began,
    ).length
  })
}

test(
  'between write and acknowledgement the database is synchronized',
  { skip: noStrace },
  async () => {
    for (const count of syncsBetween(await traceOf({}))) assert.ok(count > 0)
  },
)

test(
  'the same trace shows no synchronization with synchronous=OFF',
  { skip: noStrace },
  async () => {
    const syncs = syncsBetween(await traceOf({ LINNET_TEST_SYNCHRONOUS: 'off' }))
    assert.deepEqual(syncs, Array(messages).fill(0))
  },
)
