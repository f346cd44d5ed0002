import { tlsListenerOptions } from '../core/config/listener-options.ts'
import { currentConfig } from '../core/current-config.ts'
import { defineListener } from '../core/listener.ts'
import type { ListenerContext } from '../core/listener.ts'
import { accepted, flag, integer, valuesOf } from '../core/options.ts'
import type { ValuesOf } from '../core/options.ts'
import type { Transport } from '../core/transport.ts'
import { brokersOf } from './brokers.ts'
import type { ListenerProfile } from './connection.ts'
import { Connection, maxPacketBytesOf } from './connection.ts'
import { limitOptions, ListenerLimits } from './limits.ts'
import { RateLimit } from './rate-limit.ts'

const options = {
  ...tlsListenerOptions,
  ...limitOptions,
  max_payload_size: integer(
    { min: 1, orInfinity: true },
    'infinity',
    'Packets whose Remaining Length is this or more are refused.',
  ),
  max_fsm_queue: accepted(
    integer({ min: 1 }, 10_000, "Length of a process's mailbox."),
    'there are no processes with mailboxes; max_queue and max_queue_bytes of mod_mqtt bound what waits',
  ),
  tls_verify: flag(
    false,
    'Ask for a client certificate. Without a password its XMPP address or common name is the account.',
  ),
}

/** MQTT over TCP and TLS. Which host a client belongs to is in its CONNECT: `mod_mqtt` has to run there. */
export const mqttListener = defineListener({
  name: 'mod_mqtt',
  transports: ['tcp'],
  options,
  tls: ({ tls, tls_verify }) => ({ direct: tls, requestCertificate: tls_verify }),
  open(context) {
    const limits = new ListenerLimits(context.options, context.services)
    let profile = profileOf(context, context.options, limits)
    return {
      accept: (transport) => accept(transport, profile),
      // Who is connected keeps what CONNACK said.
      reload(changed: ValuesOf<typeof options>) {
        limits.values = changed
        profile = profileOf(context, changed, limits)
      },
      close() {},
    }
  },
})

function profileOf(
  { log, services }: ListenerContext<unknown>,
  values: ValuesOf<typeof options>,
  limits: ListenerLimits,
): ListenerProfile {
  return {
    brokers: brokersOf(services),
    log,
    maxPacketBytes: maxPacketBytesOf(values.max_payload_size),
    verifiesCertificates: values.tls_verify,
    limits,
  }
}

/** WebSockets have no options of their own: their rates and limits are those of the first listener for MQTT. */
export function webSocketProfile({ log, services }: ListenerContext<unknown>): ListenerProfile {
  const { listeners } = services.get(currentConfig).value
  const first = listeners.find((listener) => listener.module === mqttListener.name)
  const values = first?.options.as(options) ?? valuesOf(options)
  const brokers = brokersOf(services)
  const limits = (brokers.webSocketLimits ??= new ListenerLimits(values, services))
  limits.values = values
  return {
    brokers,
    log,
    maxPacketBytes: maxPacketBytesOf(Infinity),
    verifiesCertificates: false,
    limits,
  }
}

/** A new connection, as far as there is room for it. */
export function accept(transport: Transport, profile: ListenerProfile): void {
  const connection = new Connection(transport, profile)
  const { brokers, limits } = profile
  const { ip } = transport.peer
  const surplus = limits?.opened(ip)
  if (surplus === 'close') {
    transport.close()
    return
  }
  connection.isCounted = limits !== undefined
  connection.surplus = surplus
  if (limits !== undefined)
    connection.rate = RateLimit.create(connection, limits.ratesOfAddress(ip))
  brokers.connected(connection)
  transport.attach(connection)
}
