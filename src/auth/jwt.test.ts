import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { SignJWT, UnsecuredJWT } from 'jose'
import { TestAccounts } from '../../test/support/accounts.ts'
import { bare } from '../../test/support/sasl.ts'
import type { AuthAttempt } from '../core/account.ts'
import { err, ok } from '../util/result.ts'
import { parseJwtKey } from './jwt.ts'

const juliet = bare('juliet@localhost')
const attempt: AuthAttempt = { protocol: 'mqtt', ip: undefined }
const secret = Buffer.from('a secret of more than thirty-two bytes')
const jwk = { kty: 'oct', k: secret.toString('base64url') }
/** The time at which the clock of the tests stands. */
const now = Date.UTC(2026, 0, 1) / 1000

let dir = ''
before(async () => {
  dir = await mkdtemp(join(tmpdir(), 'linnet-jwt-'))
})
after(() => rm(dir, { recursive: true }))

let files = 0
async function open(
  key: string = JSON.stringify(jwk),
  options: Readonly<Record<string, unknown>> = {},
): Promise<TestAccounts> {
  const file = join(dir, `${++files}.key`)
  await writeFile(file, key)
  return TestAccounts.open({ auth_method: 'jwt', jwt_key: file, ...options })
}

interface TokenParts {
  readonly claims?: Record<string, unknown>
  readonly alg?: string
  readonly key?: KeyObject | Uint8Array
}

function sign({ claims, alg = 'HS256', key = secret }: TokenParts = {}): Promise<string> {
  return new SignJWT({ jid: 'juliet@localhost', exp: now + 60, ...claims })
    .setProtectedHeader({ alg })
    .sign(key)
}

describe('a token lets in', () => {
  const cases: Record<string, TokenParts> = {
    'the account whose JID it holds': {},
    'when the claim is the localpart': { claims: { jid: 'juliet' } },
    'when the claim needs preparation': { claims: { jid: 'Juliet@LocalHost' } },
    'with another hash of the same key': { alg: 'HS512' },
  }
  for (const [name, parts] of Object.entries(cases)) {
    test(name, async () => {
      await using accounts = await open()
      const checked = await accounts.directory.checkPassword(juliet, await sign(parts), attempt)
      assert.deepEqual(checked, ok(undefined))
    })
  }

  // shows: option jwt_jid_field
  test('by the claim that jwt_jid_field names', async () => {
    await using accounts = await open(undefined, { jwt_jid_field: 'sub' })
    const token = await sign({ claims: { sub: 'juliet@localhost', jid: 'romeo@localhost' } })
    assert.ok((await accounts.directory.checkPassword(juliet, token, attempt)).ok)
  })

  test('signed by keys of other kinds, as PEM, JWK or a set of one', async () => {
    const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })
    const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const ed = generateKeyPairSync('ed25519')
    const files = [
      { pair: rsa, alg: 'RS256', key: rsa.publicKey.export({ type: 'spki', format: 'pem' }) },
      { pair: ec, alg: 'ES256', key: JSON.stringify(ec.publicKey.export({ format: 'jwk' })) },
      {
        pair: ed,
        alg: 'EdDSA',
        key: JSON.stringify({ keys: [ed.publicKey.export({ format: 'jwk' })] }),
      },
    ]
    for (const { pair, alg, key } of files) {
      await using accounts = await open(key)
      const token = await sign({ alg, key: pair.privateKey })
      assert.ok((await accounts.directory.checkPassword(juliet, token, attempt)).ok, alg)
    }
  })
})

describe('a token is refused', () => {
  const cases: Record<string, TokenParts> = {
    'that has run out': { claims: { exp: now - 1 } },
    'that runs out now': { claims: { exp: now } },
    'that never runs out': { claims: { exp: undefined } },
    'that is not valid yet': { claims: { nbf: now + 10 } },
    'of another account': { claims: { jid: 'romeo@localhost' } },
    'of another host': { claims: { jid: 'juliet@example.net' } },
    'of a resource': { claims: { jid: 'juliet@localhost/a' } },
    'without the claim': { claims: { jid: undefined } },
    'whose claim is no text': { claims: { jid: 1 } },
    'of another key': { key: Buffer.from('another secret of more than 32 bytes') },
  }
  for (const [name, parts] of Object.entries(cases)) {
    test(name, async () => {
      await using accounts = await open()
      const checked = await accounts.directory.checkPassword(juliet, await sign(parts), attempt)
      assert.deepEqual(checked, err('not-authorized'))
    })
  }

  test('that is not signed, or no token at all', async () => {
    await using accounts = await open()
    const unsigned = new UnsecuredJWT({ jid: 'juliet@localhost', exp: now + 60 }).encode()
    for (const token of [unsigned, '', 'rose', 'a.b.c', `${await sign()}x`]) {
      const checked = await accounts.directory.checkPassword(juliet, token, attempt)
      assert.deepEqual(checked, err('not-authorized'))
    }
  })

  test('that takes the public key for a secret', async () => {
    const { publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
    const pem = publicKey.export({ type: 'spki', format: 'pem' })
    await using accounts = await open(pem)
    const token = await sign({ key: Buffer.from(pem) })
    assert.deepEqual(
      await accounts.directory.checkPassword(juliet, token, attempt),
      err('not-authorized'),
    )
  })

  test('with an algorithm that is not the key’s own', async () => {
    await using accounts = await open(JSON.stringify({ ...jwk, alg: 'HS512' }))
    const checked = await accounts.directory.checkPassword(juliet, await sign(), attempt)
    assert.deepEqual(checked, err('not-authorized'))
  })

  // shows: option jwt_key
  test('where there is no key that can be used', async () => {
    for (const key of ['not a key', '{"kty":"oct"}', '{"keys":[]}']) {
      await using accounts = await open(key)
      const checked = await accounts.directory.checkPassword(juliet, await sign(), attempt)
      assert.deepEqual(checked, err('not-authorized'))
    }
    await using without = await TestAccounts.open({ auth_method: 'jwt' })
    const checked = await without.directory.checkPassword(juliet, await sign(), attempt)
    assert.deepEqual(checked, err('not-authorized'))
  })
})

// shows: option jwt_auth_only_rule
test('jwt_auth_only_rule keeps passwords of other methods away', async () => {
  const options = { auth_method: ['jwt', 'mnesia'], auth_stored_password_types: ['scram_sha256'] }
  for (const [rule, expected] of [
    ['none', ok(undefined)],
    ['all', err('not-authorized')],
  ] as const) {
    await using accounts = await open(undefined, { ...options, jwt_auth_only_rule: rule })
    await accounts.directory.register(juliet, 'rose')
    assert.deepEqual(await accounts.directory.checkPassword(juliet, 'rose', attempt), expected)
    const scram = await accounts.scram('sha256', 'juliet', 'rose')
    assert.equal(scram, rule === 'none' ? 'success' : 'not-authorized')
    assert.ok((await accounts.directory.checkPassword(juliet, await sign(), attempt)).ok)
  }
})

// shows: option auth_external_user_exists_check
test('nobody registers, and who is there or was there exists', async () => {
  await using accounts = await open()
  const { directory, store } = accounts
  assert.deepEqual(await directory.register(juliet, 'rose'), err('not-allowed'))
  assert.equal(await directory.exists(juliet), false)
  const session = accounts.openSession('juliet@localhost/a')
  assert.equal(await directory.exists(juliet), true)
  accounts.closeSession(session)
  assert.equal(await directory.exists(juliet), false)
  await store.write(store.table('last').insert({ username: 'juliet', seconds: '1', state: '' }))
    .settled
  assert.equal(await directory.exists(juliet), true)
  const options = { ...accounts.options, auth_external_user_exists_check: false }
  await directory.reloadHost(accounts.host, options)
  assert.equal(await directory.exists(juliet), false)
})

test('a short secret is used, but told', () => {
  const short = { kty: 'oct', k: Buffer.from('short').toString('base64url') }
  assert.equal(parseJwtKey(JSON.stringify(short)).isShort, true)
  assert.equal(parseJwtKey(JSON.stringify(jwk)).isShort, false)
})
