import assert from 'node:assert/strict'
import { createSecureContext } from 'node:tls'
import { suite, test } from 'node:test'
import { makeCertificate } from '../../src/core/net/test-support.ts'
import { ReasonCode } from '../../src/mqtt/packet/reason-code.ts'
import { MqttServer } from '../support/mqtt-broker.ts'
import { MqttClient } from '../support/mqtt-client.ts'
import type { ConnectOptions } from '../support/mqtt-client.ts'

type Certificate = Parameters<typeof makeCertificate>[0]

const authority = makeCertificate({ name: 'Authority', isAuthority: true })
const stranger = makeCertificate({ name: 'Stranger', isAuthority: true })
const own = makeCertificate({ name: 'localhost', dns: ['localhost'] })
const context = createSecureContext({
  cert: own.certificate,
  key: own.key,
  ca: authority.certificate,
})
const tls = { contexts: { contextFor: () => context }, requestCertificate: true }
const hosts = ['localhost', 'example.org']
const options = { hosts, tls, listener: { tls: true, tls_verify: true } }

/** Without a password and a user name, unless the test gives them. */
const bare: ConnectOptions = { userName: undefined, password: undefined, clientId: 'lamp' }

async function connect(server: MqttServer, certificate?: Certificate): Promise<MqttClient> {
  const identity =
    certificate === undefined ? undefined : makeCertificate({ issuer: authority, ...certificate })
  return MqttClient.connect(server.port, {
    rejectUnauthorized: false,
    ...(identity !== undefined && { cert: identity.certificate, key: identity.key }),
  })
}

/** Who the client turned out to be, or why it was not let in. */
async function outcome(
  server: MqttServer,
  certificate: Certificate | undefined,
  connectOptions: ConnectOptions = {},
): Promise<string | number> {
  await using client = await connect(server, certificate)
  client.sendConnect({ ...bare, ...connectOptions })
  const { reasonCode } = await client.receive('connack')
  if (reasonCode !== 0) return reasonCode
  const [session] = server.registry.all()
  await client.disconnect()
  return session?.jid ?? assert.fail('Nobody is there')
}

suite('a client certificate is an identity', () => {
  // shows: listener mod_mqtt.tls_verify
  test('by its common name or its XMPP addresses', async () => {
    await using server = await MqttServer.start(options)
    const juliet = 'juliet@localhost/lamp'
    const there = 'juliet@example.org/lamp'
    const denied = ReasonCode.notAuthorized
    const table: [Certificate, ConnectOptions, string | number][] = [
      [{ name: 'juliet' }, { userName: 'juliet' }, juliet],
      [{ name: 'Juliet@localhost' }, { userName: 'juliet@localhost' }, juliet],
      [
        { name: 'Lamp no. 7', xmpp: ['juliet@example.org'] },
        { userName: 'juliet@example.org' },
        there,
      ],
      [
        { name: 'juliet', xmpp: ['romeo@localhost'] },
        { userName: 'romeo' },
        'romeo@localhost/lamp',
      ],
      [{ name: 'juliet', xmpp: ['romeo@localhost'] }, { userName: 'juliet' }, juliet],
      [{ name: 'romeo' }, { userName: 'juliet' }, denied],
      [{ name: 'x', xmpp: ['juliet@example.org'] }, { userName: 'juliet@localhost' }, denied],
      // The address of a server is nobody's account.
      [{ name: 'x', xmpp: ['juliet'] }, { userName: 'juliet' }, denied],
      [{ name: 'nobody' }, { userName: 'nobody' }, denied],
      [{ name: 'juliet', issuer: stranger }, { userName: 'juliet' }, denied],
    ]
    for (const [certificate, connectOptions, expected] of table) {
      const actual = await outcome(server, certificate, connectOptions)
      assert.equal(actual, expected, `${certificate.name} ${connectOptions.userName}`)
    }
  })

  test('without a user name the certificate says who it is, if it says so clearly', async () => {
    await using server = await MqttServer.start(options)
    const denied = ReasonCode.notAuthorized
    for (const [certificate, clientId, expected] of [
      [{ name: 'juliet@example.org' }, 'lamp', 'juliet@example.org/lamp'],
      [{ name: 'juliet' }, 'lamp', 'juliet@localhost/lamp'],
      // As in ejabberd: the client identifier is the user.
      [{ name: 'juliet' }, 'juliet', 'juliet@localhost/juliet'],
      [{ name: 'romeo', xmpp: ['juliet@localhost'] }, 'juliet', 'juliet@localhost/juliet'],
      [{ name: 'romeo', xmpp: ['juliet@localhost'] }, 'lamp', denied],
      [{ name: 'a b' }, 'lamp', denied],
      [{ name: 'juliet', issuer: stranger }, 'lamp', denied],
    ] as const) {
      const actual = await outcome(server, certificate, { clientId })
      assert.equal(actual, expected, `${certificate.name} ${clientId}`)
    }
  })

  test('stands in for no password that is given', async () => {
    await using server = await MqttServer.start(options)
    const juliet = { name: 'juliet' }
    assert.equal(
      await outcome(server, juliet, { userName: 'juliet', password: 'wrong' }),
      ReasonCode.badUserNameOrPassword,
    )
    assert.equal(
      await outcome(server, juliet, { userName: 'romeo', password: 'secret' }),
      'romeo@localhost/lamp',
    )
    // An empty password is none.
    assert.equal(
      await outcome(server, juliet, { userName: 'juliet', password: '' }),
      'juliet@localhost/lamp',
    )
    assert.equal(
      await outcome(server, undefined, { userName: 'juliet' }),
      ReasonCode.badUserNameOrPassword,
    )
  })

  test('counts nothing where the listener does not ask for it', async () => {
    await using server = await MqttServer.start({
      ...options,
      listener: { tls: true, tls_verify: false },
    })
    assert.equal(
      await outcome(server, { name: 'juliet' }, { userName: 'juliet' }),
      ReasonCode.badUserNameOrPassword,
    )
  })
})
