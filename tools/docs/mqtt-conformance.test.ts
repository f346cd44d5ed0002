import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { mqttSpecifications, root } from '../docs.ts'
import type { Evidence } from './evidence.ts'
import { evidenceIn, readEvidence } from './evidence.ts'
import { conformanceFaults, conformancePage } from './mqtt-conformance.ts'
import type { Statement } from './mqtt-statements/types.ts'

function faults(statement: Statement, ...shown: readonly string[]): readonly string[] {
  const folder = mkdtempSync(join(tmpdir(), 'linnet-conformance-'))
  try {
    mkdirSync(join(folder, 'src'))
    writeFileSync(join(folder, 'src/a.ts'), 'function enforce() {}\n// the rule\n')
    const evidence = shown.map((name): Evidence => ({
      kind: 'MQTT3',
      name,
      file: 'a.test.ts',
      line: 1,
      test: 'keeps it',
    }))
    return conformanceFaults(
      folder,
      [{ kind: 'MQTT3', title: 'MQTT', statements: [statement] }],
      evidence,
    )
  } finally {
    rmSync(folder, { recursive: true })
  }
}

const statement = { id: '1.1.1-1', duty: 'server', rule: 'Keep it.' } as const

test('a duty of the broker needs a place and a test', () => {
  assert.deepEqual(faults({ ...statement, where: ['src/a.ts#enforce'] }, '1.1.1-1'), [])
  assert.deepEqual(faults({ ...statement, where: ['src/a.ts#enforce'] }, '1.1.1-2'), [
    'MQTT3 1.1.1-1: no test shows it',
  ])
  assert.deepEqual(faults(statement, '1.1.1-1'), ['MQTT3 1.1.1-1: is enforced nowhere'])
})

test('what binds others needs a reason, and a test where the broker checks it', () => {
  const theirs = { ...statement, duty: 'client' } as const
  assert.deepEqual(faults({ ...theirs, reason: 'Clients do.' }), [])
  assert.deepEqual(faults(theirs), ['MQTT3 1.1.1-1: has no reason'])
  assert.deepEqual(faults({ ...theirs, where: ['src/a.ts#enforce'] }), [
    'MQTT3 1.1.1-1: no test shows it',
  ])
  assert.deepEqual(faults({ ...statement, duty: 'choice', reason: 'We do.' }), [
    'MQTT3 1.1.1-1: no test shows it',
  ])
})

test('a place has to be there', () => {
  for (const place of ['src/a.ts#enforc', 'src/b.ts#enforce', 'src/a.ts', 'src/a.ts#a rule']) {
    assert.deepEqual(faults({ ...statement, where: [place] }, '1.1.1-1'), [
      `MQTT3 1.1.1-1: there is no ${place}`,
    ])
  }
  assert.deepEqual(faults({ ...statement, where: ['src/a.ts#the rule'] }, '1.1.1-1'), [])
})

test('the page names the tests that show a statement', () => {
  const text = [
    '// shows: MQTT3 1.1.1-1, 1.1.1-2',
    '// shows: MQTT5 1.1.1-1',
    'test(',
    "  'keeps it',",
    '  () => {},',
    ')',
  ].join('\n')
  const evidence = evidenceIn('test/a.test.ts', text)
  assert.deepEqual(
    evidence.map(({ kind, name, test: title }) => [kind, name, title]),
    [
      ['MQTT3', '1.1.1-1', 'keeps it'],
      ['MQTT3', '1.1.1-2', 'keeps it'],
      ['MQTT5', '1.1.1-1', 'keeps it'],
    ],
  )
  const statements = [{ ...statement, where: ['src/a.ts#enforce'] }]
  const page = conformancePage([{ kind: 'MQTT3', title: 'MQTT', statements }], evidence)
  assert.ok(
    page.includes(
      '| 1.1.1-1 | server | Keep it. | [a.ts](../src/a.ts) `enforce` | keeps it ([a.test.ts](../test/a.test.ts)) |',
    ),
    page,
  )
})

test('every duty of the broker is enforced somewhere and shown by a test', () => {
  assert.deepEqual(conformanceFaults(root, mqttSpecifications, readEvidence(root)), [])
})
