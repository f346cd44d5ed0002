import { tlsListenerOptions } from '../core/config/listener-options.ts'
import { defineListener } from '../core/listener.ts'
import { accepted, flag, integer } from '../core/options.ts'
import { brokersOf } from './brokers.ts'
import type { ListenerProfile } from './connection.ts'
import { Connection, maxPacketBytesOf } from './connection.ts'

/** MQTT over TCP and TLS. Which host a client belongs to is in its CONNECT: `mod_mqtt` has to run there. */
export const mqttListener = defineListener({
  name: 'mod_mqtt',
  transports: ['tcp'],
  options: {
    ...tlsListenerOptions,
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
      'Ask for a client certificate. Without a password its common name is the account.',
    ),
  },
  tls: ({ tls, tls_verify }) => ({ direct: tls, requestCertificate: tls_verify }),
  open({ options, log, services }) {
    const brokers = brokersOf(services)
    const profile: ListenerProfile = {
      brokers,
      log,
      maxPacketBytes: maxPacketBytesOf(options.max_payload_size),
      verifiesCertificates: options.tls_verify,
    }
    return {
      accept(transport) {
        const connection = new Connection(transport, profile)
        brokers.connected(connection)
        transport.attach(connection)
      },
      close() {},
    }
  },
})
