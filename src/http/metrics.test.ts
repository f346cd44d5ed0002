import assert from 'node:assert/strict'
import { test } from 'node:test'
import { metricsHandler } from './metrics.ts'
import { bodyOf, get, startHttp, statusOf } from './test-support.ts'

test('writes the figures of server and process for Prometheus', async () => {
  await using http = await startHttp({
    handlers: [metricsHandler],
    options: 'request_handlers: {/metrics: linnet_metrics}',
  })
  http.metrics.counter('linnet_test_total', 'For the test', { kind: 'a' }).add(3)
  const answer = await http.say(get('/metrics'))
  assert.equal(statusOf(answer), 200)
  assert.match(answer, /\r\ncontent-type: text\/plain; version=0\.0\.4; charset=utf-8\r\n/i)
  const lines = bodyOf(answer).split('\n')
  assert.equal(lines.pop(), '')
  assert.ok(lines.includes('linnet_test_total{kind="a"} 3'))
  const values = new Map<string, number>()
  for (const line of lines) {
    if (line.startsWith('# ')) continue
    const [, name = '', value = ''] = /^([a-z_0-9]+(?:\{[^}]*\})?) (\S+)$/.exec(line) ?? []
    assert.notEqual(name, '', line)
    assert.ok(Number.isFinite(Number(value)), line)
    values.set(name, Number(value))
  }
  for (const name of [
    'process_cpu_seconds_total',
    'process_resident_memory_bytes',
    'nodejs_heap_size_used_bytes',
    'linnet_uptime_seconds',
  ]) {
    assert.ok((values.get(name) ?? 0) > 0, name)
  }
  for (const part of ['p50', 'p99', 'max']) {
    assert.ok((values.get(`nodejs_eventloop_lag_${part}_seconds`) ?? -1) >= 0, part)
  }
})

test('answers GET and HEAD of its own path only', async () => {
  await using http = await startHttp({
    handlers: [metricsHandler],
    options: 'request_handlers: {/metrics: linnet_metrics}',
  })
  assert.equal(statusOf(await http.say(get('/metrics/more'))), 404)
  assert.equal(statusOf(await http.say(get('/metrics').replace('GET', 'HEAD'))), 200)
  assert.equal(statusOf(await http.say(get('/metrics').replace('GET', 'DELETE'))), 405)
})
