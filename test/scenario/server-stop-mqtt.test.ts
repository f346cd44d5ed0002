import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import { test } from 'node:test'
import { TestClock, TestServer } from '../support/server.ts'

test('a stop does not wait for a client that has not said CONNECT', async () => {
  // The clock stands still: a stop that waits for the end of the grace time never ends.
  const server = await TestServer.start({
    clock: new TestClock(),
    config: {
      listen: [{ port: 0, ip: '127.0.0.1', module: 'mod_mqtt' }],
      modules: { mod_mqtt: {} },
    },
  })
  const socket = connect(server.port('mod_mqtt'), '127.0.0.1')
  socket.resume()
  await once(socket, 'connect')
  const closed = once(socket, 'close')
  await server[Symbol.asyncDispose]()
  await closed
  const text = server.log.join('')
  assert.match(text, /Server has stopped/)
})
