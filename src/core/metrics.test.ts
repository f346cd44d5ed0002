import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Metrics } from './metrics.ts'

test('writes counters, gauges and histograms in the text format of Prometheus', () => {
  const metrics = new Metrics()
  metrics.counter('linnet_things_total', 'Things', { kind: 'a' }).add()
  metrics.counter('linnet_things_total', 'Things', { kind: 'a' }).add(2)
  metrics.counter('linnet_things_total', 'Things', { kind: 'b' })
  metrics.counterOf('linnet_things_total', 'Things', () => 5, { kind: 'c' })
  let open = 3
  metrics.gauge('linnet_open', 'Open now', () => open)
  open = 4
  const times = metrics.histogram('linnet_wait_seconds', 'Waiting', [0.1, 1])
  for (const value of [0.05, 0.1, 0.5, 3]) times.observe(value)
  assert.equal(
    metrics.render(),
    [
      '# HELP linnet_things_total Things',
      '# TYPE linnet_things_total counter',
      'linnet_things_total{kind="a"} 3',
      'linnet_things_total{kind="b"} 0',
      'linnet_things_total{kind="c"} 5',
      '# HELP linnet_open Open now',
      '# TYPE linnet_open gauge',
      'linnet_open 4',
      '# HELP linnet_wait_seconds Waiting',
      '# TYPE linnet_wait_seconds histogram',
      'linnet_wait_seconds_bucket{le="0.1"} 2',
      'linnet_wait_seconds_bucket{le="1"} 3',
      'linnet_wait_seconds_bucket{le="+Inf"} 4',
      'linnet_wait_seconds_sum 3.65',
      'linnet_wait_seconds_count 4',
      '',
    ].join('\n'),
  )
})

test('escapes what would break a line', () => {
  const metrics = new Metrics()
  metrics.counter('n_total', 'A \\ and\na line', { path: 'a"b\\c\nd' })
  assert.equal(
    metrics.render(),
    '# HELP n_total A \\\\ and\\na line\n# TYPE n_total counter\nn_total{path="a\\"b\\\\c\\nd"} 0\n',
  )
})

test('a series that is removed begins anew; a name has one type', () => {
  const metrics = new Metrics()
  metrics.counter('n_total', 'N', { host: 'a' }).add(5)
  metrics.remove('n_total', { host: 'a' })
  metrics.remove('unknown')
  assert.equal(metrics.render(), '')
  assert.equal(metrics.counter('n_total', 'N', { host: 'a' }).value, 0)
  assert.throws(() => metrics.gauge('n_total', 'N', () => 1), /already a counter/)
})
