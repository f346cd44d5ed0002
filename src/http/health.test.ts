import assert from 'node:assert/strict'
import { test } from 'node:test'
import { healthHandler, readiness } from './health.ts'
import { bodyOf, get, startHttp, statusOf } from './test-support.ts'

test('tells that the process lives and whether it is ready', async () => {
  await using http = await startHttp({
    handlers: [healthHandler],
    options: 'request_handlers: {/: linnet_health}',
  })
  const ask = async (path: string): Promise<unknown> => {
    const answer = await http.say(get(path))
    return [statusOf(answer), JSON.parse(bodyOf(answer))]
  }
  assert.deepEqual(await ask('/healthz'), [200, { status: 'alive' }])
  const starting = { status: 'not ready', reasons: ['The server is starting'] }
  assert.deepEqual(await ask('/some/readyz/'), [503, starting])
  const state = { reasons: ['The database does not answer'] }
  http.services.provide(readiness, state)
  assert.deepEqual(await ask('/readyz'), [503, { status: 'not ready', reasons: state.reasons }])
  state.reasons = []
  assert.deepEqual(await ask('/readyz?verbose'), [200, { status: 'ready' }])
  assert.equal(statusOf(await http.say(get('/'))), 404)
  assert.equal(statusOf(await http.say(get('/xreadyz'))), 404)
  assert.equal(statusOf(await http.say(get('/readyz').replace('GET', 'POST'))), 405)
})
