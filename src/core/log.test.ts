import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Logs, logLevels } from './log.ts'
import type { LogOptions } from './log.ts'

function create(options: Partial<LogOptions> = {}): { logs: Logs; lines: string[] } {
  const lines: string[] = []
  const destination = { write: (line: string) => void lines.push(line) }
  return { logs: new Logs({ level: 'info', destination, ...options }), lines }
}

test('a line of JSON says level, time, part, fields and sentence', () => {
  const { logs, lines } = create()
  logs.for('mod_ping').info({ jid: 'juliet@localhost' }, 'Client is gone')
  const { time, ...line } = JSON.parse(lines[0] ?? '')
  assert.ok(!Number.isNaN(Date.parse(time)))
  assert.deepEqual(line, {
    level: 'info',
    module: 'mod_ping',
    jid: 'juliet@localhost',
    msg: 'Client is gone',
  })
})

test('each level lets through what is as grave', () => {
  const { logs, lines } = create()
  const heard = logLevels.map((level) => {
    logs.setLevel(level)
    assert.equal(logs.level, level)
    lines.length = 0
    const fresh = logs.for('server')
    fresh.fatal('fatal')
    fresh.error('error')
    fresh.warn('warn')
    fresh.info('info')
    fresh.debug('debug')
    return lines.length
  })
  assert.deepEqual(heard, [0, 1, 1, 1, 2, 3, 4, 4, 5])
})

test('parts that are logged fully are at debug whatever the level is, until told otherwise', () => {
  const { logs, lines } = create({ level: 'error', modulesFully: ['mod_mqtt'] })
  logs.for('mod_mqtt').debug('one')
  logs.for('mod_ping').debug('two')
  assert.equal(lines.length, 1)
  logs.configure({ modulesFully: ['mod_ping'], hideAddresses: false })
  logs.for('mod_mqtt').debug('three')
  logs.for('mod_ping').debug('four')
  assert.equal(lines.length, 2)
})

test('never writes what is called a password, a token or a secret', () => {
  const { logs, lines } = create()
  const options = { password: 'hunter2', token: 'hunter2', secret: 'hunter2' }
  logs.for('server').info({ ...options, newpass: 'hunter2', options }, 'Signed in')
  assert.equal(lines.length, 1)
  assert.doesNotMatch(lines[0] ?? '', /hunter2/)
  assert.match(lines[0] ?? '', /\[hidden\]/)
})

test('addresses are hidden when asked, from the next line on', () => {
  const { logs, lines } = create()
  const log = logs.for('c2s')
  const fields = { ip: '192.0.2.1' }
  log.info(fields, 'Signed in')
  logs.configure({ modulesFully: [], hideAddresses: true })
  log.info(fields, 'Signed in')
  log.info('Nothing to hide')
  assert.deepEqual(
    lines.map((line) => JSON.parse(line).ip),
    ['192.0.2.1', '[hidden]', undefined],
  )
  assert.deepEqual(fields, { ip: '192.0.2.1' }, 'The caller’s object is his own')
})

test('as text a line reads like one of ejabberd’s, an error with its stack', () => {
  const { logs, lines } = create({ format: 'text' })
  logs.for('mod_ping').warn({ jid: 'a@b', count: 2 }, 'Client is silent')
  assert.match(
    lines[0] ?? '',
    /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} \[warning\] mod_ping: Client is silent jid=a@b count=2\n$/,
  )
  logs.for('server').error({ err: new Error('broken') }, 'Failed')
  assert.match(lines[1] ?? '', /\[error\] server: Failed\n {2}Error: broken\n {4,}at /)
})
