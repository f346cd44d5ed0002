import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { ScramHash } from '../../core/account.ts'
import { bare, challengeOf, keysFor, saslContext } from '../../../test/support/sasl.ts'
import { ScramClient } from '../../../test/support/scram-client.ts'
import type { ScramClientOptions } from '../../../test/support/scram-client.ts'
import type { SaslContext } from './mechanism.ts'
import type { Offer } from './offer.ts'
import { Scram } from './scram.ts'

const user = bare('user@localhost')
const text = (bytes: Uint8Array | undefined): string => Buffer.from(bytes ?? []).toString()

/** Whole exchanges printed in the specifications, user "user", password "pencil". */
const vectors = [
  {
    source: 'RFC 5802 §5',
    hash: 'sha1',
    salt: 'QSXCR+Q6sek8bf92',
    nonce: '3rfcNHYJY1ZVvWVs7j',
    clientFirst: 'n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL',
    serverFirst: 'r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096',
    clientFinal:
      'c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=',
    serverFinal: 'v=rmF9pqV8S7suAoZWja4dJRkFsKQ=',
  },
  {
    source: 'RFC 7677 §3',
    hash: 'sha256',
    salt: 'W22ZaJ0SNY7soEsUEjb6gQ==',
    nonce: '%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0',
    clientFirst: 'n,,n=user,r=rOprNGfwEbeRWgbNEkqO',
    serverFirst:
      'r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096',
    clientFinal:
      'c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=',
    serverFinal: 'v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=',
  },
] as const

for (const vector of vectors) {
  test(`runs the exchange of ${vector.source}`, async () => {
    const { hash } = vector
    const context = saslContext({
      accounts: {
        scramKeys: async () => ({
          ...keysFor(hash, 'pencil', Buffer.from(vector.salt, 'base64')),
          isReal: true,
        }),
      },
      nonce: () => vector.nonce,
    })
    const scram = new Scram(hash, false, context)
    const first = await scram.start(Buffer.from(vector.clientFirst))
    assert.equal(text(challengeOf(first)), vector.serverFirst)
    const last = await scram.next(Buffer.from(vector.clientFinal))
    assert.equal(last.kind, 'success')
    assert.ok(last.kind === 'success' && last.account === user && !last.isGuest)
    assert.equal(text(last.data), vector.serverFinal)
  })
}

const bindings = new Map([
  ['tls-exporter', Buffer.from('exported')],
  ['tls-server-end-point', Buffer.from('end point')],
])
const plusOffer: Offer = {
  mechanisms: ['SCRAM-SHA-1-PLUS', 'SCRAM-SHA-1'],
  channelBindings: ['tls-exporter', 'tls-server-end-point'],
  protectsFromDowngrade: false,
}

interface Attempt {
  readonly hash?: ScramHash
  readonly isPlus?: boolean
  readonly client?: Partial<ScramClientOptions>
  readonly context?: Partial<SaslContext>
  /** Changes the client's last message on its way. */
  readonly tamper?: (final: string) => string
}

async function run({ hash = 'sha1', isPlus = false, client, context, tamper }: Attempt) {
  const peer = new ScramClient({ hash, userName: 'user', password: 'pencil', ...client })
  const scram = new Scram(hash, isPlus, saslContext(context))
  const first = await scram.start(peer.first())
  if (first.kind !== 'challenge') return first
  const final = peer.final(first.data)
  const step = await scram.next(tamper === undefined ? final : Buffer.from(tamper(text(final))))
  if (step.kind === 'success') assert.ok(peer.accepts(step.data ?? Buffer.alloc(0)))
  return step
}

const withPlus = { channelBindings: bindings, offer: plusOffer }
const exporter = { flag: 'p=tls-exporter', binding: Buffer.from('exported') }

describe('SCRAM lets in', () => {
  const cases: Record<string, Attempt> = {
    'with SHA-256': { hash: 'sha256' },
    'with SHA-512': { hash: 'sha512' },
    'bound to tls-exporter (RFC 9266)': { isPlus: true, context: withPlus, client: exporter },
    'bound to tls-server-end-point (RFC 5929 §4)': {
      isPlus: true,
      context: withPlus,
      client: { flag: 'p=tls-server-end-point', binding: Buffer.from('end point') },
    },
    'a client that cannot bind, though we can (RFC 5802 §6)': { context: withPlus },
    'a client that can bind, where we cannot (RFC 5802 §6)': { client: { flag: 'y' } },
    'an authzid that is the own bare JID': { client: { authzid: 'user@localhost' } },
    'an authzid that is the own localpart': { client: { authzid: 'user' } },
    'a user name that needs preparation': { client: { userName: 'USER' } },
    'extensions that nobody knows (RFC 5802 §5.1)': { client: { extensions: ',x=y,Z=1=2' } },
  }
  for (const [name, attempt] of Object.entries(cases)) {
    test(name, async () => {
      const step = await run(attempt)
      assert.ok(step.kind === 'success', JSON.stringify(step))
      assert.equal(step.account, user)
    })
  }
})

describe('SCRAM refuses', () => {
  const cases: Record<string, Attempt & { condition: string }> = {
    'a wrong password': { client: { password: 'pen' }, condition: 'not-authorized' },
    'a downgrade: "y" though -PLUS was offered (RFC 5802 §6)': {
      context: withPlus,
      client: { flag: 'y' },
      condition: 'not-authorized',
    },
    'a binding in a mechanism without -PLUS': {
      context: withPlus,
      client: exporter,
      condition: 'not-authorized',
    },
    'no binding in a mechanism with -PLUS': {
      isPlus: true,
      context: withPlus,
      condition: 'not-authorized',
    },
    'a binding of another channel': {
      isPlus: true,
      context: withPlus,
      client: { ...exporter, binding: Buffer.from('of another') },
      condition: 'not-authorized',
    },
    'a type of binding that the connection lacks': {
      isPlus: true,
      context: withPlus,
      client: { flag: 'p=tls-unique', binding: Buffer.from('x') },
      condition: 'not-authorized',
    },
    'a name of a binding with odd characters': {
      isPlus: true,
      context: withPlus,
      client: { flag: 'p=tls exporter' },
      condition: 'malformed-request',
    },
    'to act as somebody else': {
      client: { authzid: 'romeo@localhost' },
      condition: 'invalid-authzid',
    },
    'to act as a resource of its own': {
      client: { authzid: 'user@localhost/x' },
      condition: 'invalid-authzid',
    },
    'a user name that can be no localpart': {
      client: { userName: 'a b' },
      condition: 'not-authorized',
    },
    'a mandatory extension (RFC 5802 §5.1)': {
      client: { extensions: ',m=x' },
      condition: 'malformed-request',
    },
    'an extension that is no attribute': {
      client: { extensions: ',12' },
      condition: 'malformed-request',
    },
    'a nonce with a space': { client: { nonce: 'a b' }, condition: 'malformed-request' },
    'an empty nonce': { client: { nonce: '' }, condition: 'malformed-request' },
    'a nonce that is too long': {
      client: { nonce: 'n'.repeat(513) },
      condition: 'malformed-request',
    },
    'another nonce in the last message': {
      tamper: (final) => final.replace('r=c', 'r=C'),
      condition: 'not-authorized',
    },
    'a header that changed (RFC 5802 §6)': {
      tamper: (final) => final.replace('c=biws', 'c=eSws'),
      condition: 'not-authorized',
    },
    'a channel binding that is not base64': {
      tamper: (final) => final.replace('c=biws', 'c=biw'),
      condition: 'malformed-request',
    },
    'something behind the proof': {
      tamper: (final) => `${final},x=y`,
      condition: 'malformed-request',
    },
    'no proof': {
      tamper: (final) => final.replace(/,p=.*/, ''),
      condition: 'malformed-request',
    },
    'a proof of the wrong length': {
      tamper: (final) => final.replace(/p=.*/, 'p=AAAA'),
      condition: 'not-authorized',
    },
  }
  for (const [name, { condition, ...attempt }] of Object.entries(cases)) {
    test(name, async () => {
      const step = await run(attempt)
      assert.ok(step.kind === 'failure', JSON.stringify(step))
      assert.equal(step.condition, condition)
    })
  }

  test('made-up keys, even by who could prove them', async () => {
    const step = await run({
      context: {
        accounts: {
          scramKeys: async (_account, hash) => ({
            ...keysFor(hash, 'pencil', Buffer.from('salt')),
            isReal: false,
          }),
        },
      },
    })
    assert.ok(step.kind === 'failure' && step.condition === 'not-authorized')
  })

  test('a banned account only when it proved its password', async () => {
    const banned = saslContext(
      {},
      { admit: async () => ({ ok: false, error: 'account-disabled' }) },
    )
    const right = await run({ context: { signIns: banned.signIns } })
    assert.ok(right.kind === 'failure' && right.condition === 'account-disabled')
    const wrong = await run({ context: { signIns: banned.signIns }, client: { password: 'x' } })
    assert.ok(wrong.kind === 'failure' && wrong.condition === 'not-authorized')
  })

  test('a third message', async () => {
    const scram = new Scram('sha1', false, saslContext())
    const client = new ScramClient({ hash: 'sha1', userName: 'user', password: 'pencil' })
    const first = await scram.start(client.first())
    const final = client.final(challengeOf(first))
    assert.equal((await scram.next(final)).kind, 'success')
    const step = await scram.next(final)
    assert.ok(step.kind === 'failure' && step.condition === 'malformed-request')
  })
})

test('asks for the first message when there was no initial response (RFC 4422 §5)', async () => {
  const scram = new Scram('sha1', false, saslContext())
  assert.equal(text(challengeOf(await scram.start(undefined))), '')
  const client = new ScramClient({ hash: 'sha1', userName: 'user', password: 'pencil' })
  const first = await scram.next(client.first())
  assert.equal((await scram.next(client.final(challengeOf(first)))).kind, 'success')
})

test('makes a new nonce for each exchange', async () => {
  const client = new ScramClient({ hash: 'sha1', userName: 'user', password: 'pencil' })
  const nonces = await Promise.all(
    [1, 2].map(async () => {
      const scram = new Scram('sha1', false, saslContext())
      return text(challengeOf(await scram.start(client.first()))).split(',')[0]
    }),
  )
  assert.notEqual(nonces[0], nonces[1])
})

test('escapes of user names are those of RFC 5802 §5.1', async () => {
  const names: string[] = []
  const context = saslContext({
    accountOf: (name) => {
      names.push(name)
      return user
    },
  })
  const client = new ScramClient({ hash: 'sha1', userName: 'a=b,c', password: 'x' })
  challengeOf(await new Scram('sha1', false, context).start(client.first()))
  assert.deepEqual(names, ['a=b,c'])
  const bad = await new Scram('sha1', false, context).start(Buffer.from('n,,n=a=2c,r=x'))
  assert.ok(bad.kind === 'failure' && bad.condition === 'malformed-request')
})

test('says what was offered, under the hash of the mechanism (XEP-0474 §5.1)', async () => {
  const client = new ScramClient({
    hash: 'sha1',
    userName: 'user',
    password: 'pencil',
    flag: 'p=tls-exporter',
    binding: Buffer.from('exported'),
  })
  const context = saslContext({
    channelBindings: bindings,
    offer: { ...plusOffer, protectsFromDowngrade: true },
  })
  const scram = new Scram('sha1', true, context)
  const first = await scram.start(client.first())
  // The hash of the example in XEP-0474 §5.3.
  assert.match(text(challengeOf(first)), /,i=4096,h=G6k\/rBLDqgOhRRaCuuatSDFkJ08=$/)
  assert.equal((await scram.next(client.final(challengeOf(first)))).kind, 'success')
})
