import assert from 'node:assert/strict'
import { test } from 'node:test'
import { schema } from '../../../test/fixtures/config-schema.ts'
import { configJsonSchema } from './json-schema.ts'

/** Follows properties down a schema. */
function at(root: unknown, ...path: readonly (string | number)[]): unknown {
  let value = root
  for (const key of path) {
    assert.ok(
      typeof value === 'object' && value !== null && Object.hasOwn(value, key),
      `${path.join('.')}: ${key}`,
    )
    value = Object.entries(value).find(([name]) => name === String(key))?.[1]
  }
  return value
}

test('the JSON Schema knows options, modules and listeners, and survives JSON', () => {
  const made: unknown = JSON.parse(JSON.stringify(configJsonSchema(schema)))
  assert.deepEqual(at(made, 'required'), ['hosts'])
  assert.equal(at(made, 'additionalProperties'), false)
  assert.deepEqual(at(made, 'properties', 'loglevel', 'default'), 'info')
  const ping = at(made, 'properties', 'modules', 'properties', 'mod_ping', 'anyOf', 0, 'properties')
  assert.equal(at(ping, 'send_pings', 'type'), 'boolean')
  assert.equal(
    at(made, 'properties', 'modules', 'properties', 'mod_mam', 'description'),
    'Not supported yet.',
  )
  const listeners = at(made, 'properties', 'listen', 'items', 'anyOf')
  assert.equal(at(listeners, 0, 'properties', 'module', 'const'), 'ejabberd_c2s')
  assert.equal(at(listeners, 0, 'properties', 'backlog', 'default'), 128)
  const perHost = at(made, 'properties', 'host_config', 'additionalProperties', 'properties')
  assert.ok(at(perHost, 'language'))
  assert.throws(() => at(perHost, 'loglevel'))
})
