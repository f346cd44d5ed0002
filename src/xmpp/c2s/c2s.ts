import { tlsListenerOptions } from '../../core/config/listener-options.ts'
import { currentConfig } from '../../core/current-config.ts'
import { defineListener } from '../../core/listener.ts'
import type { ListenerContext } from '../../core/listener.ts'
import { access, flag, integer, notYet, shaperRule, valuesOf } from '../../core/options.ts'
import type { ValuesOf } from '../../core/options.ts'
import { documentFraming, messageFraming } from '../stream/framing.ts'
import { clientNs } from '../xml/namespaces.ts'
import { defaultLimits, unauthenticatedLimits } from '../xml/limits.ts'
import type { XmlLimits } from '../xml/limits.ts'
import { xmppService } from '../xmpp.ts'
import { ClientConnection } from './client-connection.ts'
import type { ClientSettings } from './client-settings.ts'

const options = {
  ...tlsListenerOptions,
  access: access('all', 'Who may open a session here.'),
  shaper: shaperRule('none', 'How fast may be read.'),
  starttls: flag(false, 'Whether STARTTLS is offered.'),
  starttls_required: flag(false, 'Whether nobody gets in without TLS.'),
  tls_verify: flag(false, 'Whether clients may show a certificate to sign in.'),
  zlib: notYet(flag(false, 'Whether streams may be compressed.')),
  allow_unencrypted_sasl2: notYet(flag(false, 'Whether SASL2 is offered without TLS.')),
  max_stanza_size: integer({ min: 1, orInfinity: true }, 'infinity', 'Bytes of one stanza.'),
  max_stanza_elements: integer({ min: 1, orInfinity: true }, 'infinity', 'Elements in one stanza.'),
  pre_auth_max_stanza_size: integer(
    { min: 1, orInfinity: true },
    8192,
    'Bytes of one stanza before signing in.',
  ),
  pre_auth_max_stanza_elements: integer(
    { min: 1, orInfinity: true },
    32,
    'Elements in one stanza before signing in.',
  ),
  max_fsm_queue: integer(
    { min: 1 },
    10_000,
    'Stanzas that may wait for a client that does not read.',
  ),
}

type C2sOptions = ValuesOf<typeof options>

/**
 * What `infinity` means: nothing that a peer sends may grow without limit. Far above what any client needs, and above what
 * servers on the network take.
 */
const largest = { maxStanzaBytes: 16 * 1024 * 1024, maxElements: 100_000 }

/** Streams of clients over TCP (RFC 6120), with STARTTLS or TLS from the first byte (XEP-0368). */
export const c2s = defineListener({
  name: 'ejabberd_c2s',
  options,
  transports: ['tcp'],
  tls: ({ tls, tls_verify }) => ({
    direct: tls,
    requestCertificate: tls_verify,
    ...(tls ? { alpn: ['xmpp-client'] } : {}),
  }),
  open(context) {
    const { clients } = context.services.get(xmppService)
    let settings = settingsOf(context, context.options)
    return {
      accept: (transport) => {
        new ClientConnection(transport, clients, settings).start()
      },
      reload: (changed: C2sOptions) => {
        settings = settingsOf(context, changed)
      },
      close: () => undefined,
    }
  },
})

function settingsOf(context: ListenerContext<C2sOptions>, values: C2sOptions): ClientSettings {
  const isOffered = values.starttls || values.starttls_required || values.tls_verify
  return {
    ...sharedSettings(values),
    stream: {
      clock: context.clock,
      log: context.log,
      framing: documentFraming,
      contentNs: clientNs,
      maxQueued: values.max_fsm_queue,
    },
    connection: { plain: 'c2s', encrypted: 'c2s_tls' },
    startTls: values.tls || !isOffered ? 'off' : values.starttls_required ? 'required' : 'optional',
    tls: context.tls,
    takesCertificates: values.tls_verify,
  }
}

/** WebSockets have no options of their own: they take those of the first listener for clients. */
export function webSocketSettings(context: ListenerContext<unknown>): ClientSettings {
  const { listeners } = context.services.get(currentConfig).value
  const first = listeners.find((listener) => listener.module === c2s.name)
  const values = first?.options.as(options) ?? valuesOf(options, {})
  return {
    ...sharedSettings(values),
    stream: {
      clock: context.clock,
      log: context.log,
      framing: messageFraming,
      contentNs: clientNs,
      maxQueued: values.max_fsm_queue,
    },
    connection: { plain: 'websocket', encrypted: 'websocket' },
    startTls: 'off',
    tls: undefined,
    takesCertificates: false,
  }
}

type SharedSettings = Pick<ClientSettings, 'access' | 'shaper' | 'limits' | 'limitsBeforeAuth'>

function sharedSettings(values: C2sOptions): SharedSettings {
  return {
    access: values.access,
    shaper: values.shaper,
    limits: limitsOf(defaultLimits, values.max_stanza_size, values.max_stanza_elements),
    limitsBeforeAuth: limitsOf(
      unauthenticatedLimits,
      values.pre_auth_max_stanza_size,
      values.pre_auth_max_stanza_elements,
    ),
  }
}

function limitsOf(base: XmlLimits, bytes: number, elements: number): XmlLimits {
  return {
    ...base,
    maxStanzaBytes: Math.min(bytes, largest.maxStanzaBytes),
    maxElements: Math.min(elements, largest.maxElements),
  }
}
