import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { Agent, get } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { WebSocket as Client } from 'ws'
import { systemClock } from '../core/clock.ts'
import { currentConfig } from '../core/current-config.ts'
import { silentLog } from '../core/log.ts'
import { Metrics } from '../core/metrics.ts'
import { Certificates } from '../core/net/certificates.ts'
import { Listeners } from '../core/net/listeners.ts'
import { Services } from '../core/service.ts'
import type { RequestHandler, WebSocketTransport } from './handler.ts'
import { httpListener } from './listener.ts'
import { configOf } from './test-support.ts'

// shows: listener ejabberd_http.tls
test('serves requests and WebSockets over TLS behind the listeners of the core', async (t) => {
  const dataDir = mkdtempSync(join(tmpdir(), 'linnet-http-'))
  t.after(() => rmSync(dataDir, { recursive: true }))
  const opened: WebSocketTransport[] = []
  const handler: RequestHandler = {
    name: 'test',
    handle: ({ isTls, tls }) => ({ status: 200, body: `${isTls} ${tls?.serverName}` }),
    upgrade: () => ({
      subprotocol: undefined,
      mode: 'binary',
      maxMessageBytes: Infinity,
      open(transport) {
        opened.push(transport)
        transport.attach({
          data: (buffer, start, end) => void transport.writeCopy(buffer, start, end),
          closed() {},
        })
      },
    }),
  }
  const module = httpListener([handler])
  const options = 'tls: true, request_handlers: {/: test}'
  const config = await configOf({ handlers: [handler], options })
  const services = new Services()
  services.provide(currentConfig, { value: config })
  const clock = systemClock()
  const sources = { hosts: ['localhost'], certfiles: [], caFile: undefined, dataDir }
  const listeners = new Listeners([module], {
    certificates: new Certificates(sources, clock, silentLog),
    clock,
    log: silentLog,
    metrics: new Metrics(),
    services,
    dataDir,
  })
  assert.deepEqual(await listeners.start(config.listeners), [])
  const port = listeners.open[0]?.address.port ?? 0
  const secure = { servername: 'localhost', rejectUnauthorized: false }

  const agent = new Agent({ keepAlive: true })
  for (let round = 0; round < 2; round++) {
    const request = get({ ...secure, host: '127.0.0.1', port, agent })
    const [response] = await once(request, 'response')
    let body = ''
    for await (const chunk of response) body += String(chunk)
    assert.equal(body, 'true localhost')
  }
  assert.equal(listeners.connections, 1)

  const client = new Client(`wss://127.0.0.1:${port}/`, secure)
  await once(client, 'open')
  client.send(Buffer.from('hello'))
  const [data] = await once(client, 'message')
  assert.equal(String(data), 'hello')
  const [socket] = opened
  assert.equal(socket?.kind, 'websocket-tls')
  assert.equal(socket?.tls?.serverName, 'localhost')
  assert.equal(socket?.tls?.alpn, undefined)

  // The idle connection ends with the port, the WebSocket when its protocol says so.
  await listeners.close()
  assert.equal(socket?.isClosed, false)
  socket?.close()
  assert.equal((await once(client, 'close'))[0], 1001)
  await listeners.closeConnections(10_000)
  assert.equal(listeners.connections, 0)
  agent.destroy()
})
