import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import * as fc from 'fast-check'
import { bare, challengeOf, saslContext } from '../../../test/support/sasl.ts'
import { ScramClient } from '../../../test/support/scram-client.ts'
import { silentLog } from '../../core/log.ts'
import { err } from '../../util/result.ts'
import { SaslExchange } from './exchange.ts'
import type { MechanismName, SaslContext, SaslStep } from './mechanism.ts'

const user = bare('user@localhost')

function start(
  mechanism: string,
  message: string | undefined,
  context: SaslContext = saslContext(),
) {
  const exchange = new SaslExchange(mechanism, context, silentLog)
  return exchange.start(message === undefined ? undefined : Buffer.from(message))
}

function assertFailure(step: SaslStep, condition: string): void {
  assert.ok(step.kind === 'failure', JSON.stringify(step))
  assert.equal(step.condition, condition)
}

describe('PLAIN', () => {
  test('lets in who knows the password (RFC 4616)', async () => {
    const context = saslContext()
    const step = await start('PLAIN', '\0user\0pencil', context)
    assert.deepEqual(step, { kind: 'success', account: user, data: undefined, isGuest: false })
    assert.deepEqual(context.told, [{ account: user, isSuccess: true }])
  })

  test('asks when there was no initial response', async () => {
    const exchange = new SaslExchange('PLAIN', saslContext(), silentLog)
    challengeOf(await exchange.start(undefined))
    assert.equal((await exchange.next(Buffer.from('\0user\0pencil'))).kind, 'success')
  })

  const refused = {
    'a wrong password': ['\0user\0pen', 'not-authorized'],
    'an account that is not there': ['\0nobody\0pencil', 'not-authorized'],
    'an empty password': ['\0user\0', 'not-authorized'],
    'no user name': ['\0\0pencil', 'malformed-request'],
    'no NUL at all': ['user', 'malformed-request'],
    'one NUL too many': ['\0user\0pen\0cil', 'malformed-request'],
    'somebody else as authzid': ['romeo@localhost\0user\0pencil', 'invalid-authzid'],
    'the same name at another host as authzid': [
      'user@example.net\0user\0pencil',
      'invalid-authzid',
    ],
  } as const
  for (const [name, [message, condition]] of Object.entries(refused)) {
    test(`refuses ${name}`, async () => assertFailure(await start('PLAIN', message), condition))
  }

  test('refuses what is not UTF-8', async () => {
    const exchange = new SaslExchange('PLAIN', saslContext(), silentLog)
    assertFailure(await exchange.start(Buffer.from([0, 0x75, 0, 0xff])), 'malformed-request')
  })

  test('takes the own bare JID as authzid (RFC 6120 §6.3.8)', async () => {
    assert.equal((await start('PLAIN', 'user@localhost\0user\0pencil')).kind, 'success')
  })

  test('a backend that does not answer is a temporary failure and counts for nothing', async () => {
    const context = saslContext({}, { verifyPassword: async () => err('unavailable') })
    assertFailure(await start('PLAIN', '\0user\0pencil', context), 'temporary-auth-failure')
    assert.deepEqual(context.told, [])
  })
})

describe('ANONYMOUS', () => {
  test('makes a guest (RFC 4505)', async () => {
    const step = await start('ANONYMOUS', 'sirhc')
    assert.ok(step.kind === 'success' && step.isGuest)
    assert.equal(step.account, bare('guest@localhost'))
  })

  test('refuses trace information of more than 255 characters (RFC 4505 §2)', async () => {
    assert.equal((await start('ANONYMOUS', 'é'.repeat(255))).kind, 'success')
    assertFailure(await start('ANONYMOUS', 'é'.repeat(256)), 'malformed-request')
  })

  test('fails for a while when there are too many guests', async () => {
    const context = saslContext({}, { admitGuest: () => undefined })
    assertFailure(await start('ANONYMOUS', '', context), 'temporary-auth-failure')
  })
})

describe('EXTERNAL', () => {
  const external = (addresses: readonly string[], signIns = {}) =>
    saslContext(
      {
        certificateAddresses: addresses,
        offer: { mechanisms: ['EXTERNAL'], channelBindings: [], protectsFromDowngrade: false },
      },
      signIns,
    )

  test('lets in the only account of the certificate (XEP-0178 §2.2)', async () => {
    const step = await start(
      'EXTERNAL',
      '',
      external(['User@LOCALHOST', 'a@example.net', 'localhost']),
    )
    assert.ok(step.kind === 'success')
    assert.equal(step.account, user)
  })

  test('needs a choice where there are several', async () => {
    const context = external(['user@localhost', 'bill@localhost'])
    assertFailure(await start('EXTERNAL', '', context), 'invalid-authzid')
    const step = await start('EXTERNAL', 'bill@localhost', context)
    assert.ok(step.kind === 'success' && step.account === bare('bill@localhost'))
  })

  test('refuses who is not in the certificate, and does not count it', async () => {
    const context = external(['user@localhost'])
    assertFailure(await start('EXTERNAL', 'romeo@localhost', context), 'invalid-authzid')
    assertFailure(await start('EXTERNAL', '', external(['user@example.net'])), 'not-authorized')
    assert.deepEqual(context.told, [])
  })

  test('refuses an account that is gone or banned', async () => {
    const gone = external(['user@localhost'], { admit: async () => err('not-authorized') })
    assertFailure(await start('EXTERNAL', '', gone), 'not-authorized')
    const banned = external(['user@localhost'], { admit: async () => err('account-disabled') })
    assertFailure(await start('EXTERNAL', '', banned), 'account-disabled')
  })
})

describe('an exchange', () => {
  test('refuses what was not offered', async () => {
    const context = saslContext()
    assertFailure(await start('SCRAM-SHA-512', 'n,,n=user,r=x', context), 'invalid-mechanism')
    assertFailure(await start('plain', '\0user\0pencil', context), 'invalid-mechanism')
    assert.deepEqual(context.told, [])
  })

  test('asks first whether it may, and says why not', async () => {
    const context = saslContext(
      {},
      {
        mayTry: async () => err('Too many'),
        verifyPassword: () => assert.fail('the password was looked at'),
      },
    )
    const step = await start('PLAIN', '\0user\0pencil', context)
    assertFailure(step, 'not-authorized')
    assert.ok(step.kind === 'failure' && step.text === 'Too many')
    assert.deepEqual(context.told, [])
  })

  test('tells how SCRAM ended, and for whom', async () => {
    for (const [password, isSuccess] of [
      ['pencil', true],
      ['pen', false],
    ] as const) {
      const context = saslContext()
      const client = new ScramClient({ hash: 'sha256', userName: 'user', password })
      const exchange = new SaslExchange('SCRAM-SHA-256', context, silentLog)
      const first = await exchange.start(client.first())
      assert.deepEqual(context.told, [])
      await exchange.next(client.final(challengeOf(first)))
      assert.deepEqual(context.told, [{ account: user, isSuccess }])
      assert.ok(exchange.isOver)
    }
  })

  test('refuses messages that are too long', async () => {
    assertFailure(await start('PLAIN', `\0user\0${'x'.repeat(17_000)}`), 'malformed-request')
  })

  test('takes no message before its time or after its end', async () => {
    const exchange = new SaslExchange('PLAIN', saslContext(), silentLog)
    assertFailure(await exchange.next(Buffer.from('\0user\0pencil')), 'malformed-request')
    assertFailure(await exchange.start(Buffer.from('\0user\0pencil')), 'malformed-request')
  })

  test('can be aborted while it runs', async () => {
    const context = saslContext()
    const exchange = new SaslExchange('PLAIN', context, silentLog)
    const running = exchange.start(Buffer.from('\0user\0pencil'))
    assertFailure(exchange.abort(), 'aborted')
    assertFailure(await running, 'aborted')
    assert.deepEqual(context.told, [])
  })

  test('a failure of our own is a temporary one', async () => {
    const context = saslContext(
      {},
      { verifyPassword: () => Promise.reject(new Error('The database is gone')) },
    )
    assertFailure(await start('PLAIN', '\0user\0pencil', context), 'temporary-auth-failure')
  })
})

test('never throws, whatever is sent', async () => {
  const mechanisms = ['SCRAM-SHA-1', 'SCRAM-SHA-256', 'PLAIN', 'ANONYMOUS'] as const
  const noise = fc.uint8Array({ maxLength: 60 })
  const like = fc
    .array(
      fc.constantFrom('n', 'y', 'p=', ',', 'a=', 'n=', 'r=', 'c=', 'm=', '=2C', 'x', '\0', 'é'),
      {
        maxLength: 12,
      },
    )
    .map((parts) => new Uint8Array(Buffer.from(parts.join(''))))
  const message = fc.oneof(noise, like)
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom<MechanismName>(...mechanisms),
      message,
      message,
      async (mechanism, first, second) => {
        const exchange = new SaslExchange(
          mechanism,
          saslContext({
            accounts: {
              scramKeys: async (_account, hash) => ({
                hash,
                salt: Buffer.from('salt'),
                iterations: 4096,
                storedKey: Buffer.alloc(32),
                serverKey: Buffer.alloc(32),
                isReal: true,
              }),
            },
          }),
          silentLog,
        )
        const step = await exchange.start(first)
        if (step.kind === 'challenge') {
          const last = await exchange.next(second)
          assert.notEqual(last.kind, 'success')
        }
      },
    ),
    { numRuns: 500 },
  )
})
