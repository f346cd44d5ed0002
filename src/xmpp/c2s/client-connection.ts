import { SaslExchange } from '../../auth/sasl/exchange.ts'
import { localAccount } from '../../auth/sasl/account-name.ts'
import { announcedBindings, channelBindingsOf } from '../../auth/sasl/channel-binding.ts'
import { failure } from '../../auth/sasl/mechanism.ts'
import type { SaslContext } from '../../auth/sasl/mechanism.ts'
import { offerMechanisms } from '../../auth/sasl/offer.ts'
import type { Offer } from '../../auth/sasl/offer.ts'
import { xmppAddresses } from '../../auth/sasl/xmpp-address.ts'
import { globalScope, subjectOf } from '../../core/access.ts'
import type { AuthAttempt } from '../../core/account.ts'
import type { Timer } from '../../core/clock.ts'
import type { Hooks } from '../../core/hooks.ts'
import { drop } from '../../core/hooks.ts'
import type { Transport } from '../../core/transport.ts'
import { stanzaFromClient } from '../from-client.ts'
import { elementReceived, sessionResumed, streamFeatures } from '../hooks.ts'
import type { BareJid, HostName, Jid } from '../jid/jid.ts'
import type { XmppHost } from '../router.ts'
import { Session } from '../session.ts'
import type { SessionStream } from '../session.ts'
import { errorReply, result } from '../stanza/stanza-error.ts'
import { SharedStanza } from '../stanza/stanza-bytes.ts'
import type { StanzaBytes } from '../stanza/stanza-bytes.ts'
import { createId, isStanzaName, payloadOf, readStanza } from '../stanza/stanza.ts'
import type { Iq } from '../stanza/stanza.ts'
import {
  bindFeatures,
  bindNs,
  saslFeatures,
  saslNs,
  startTlsFeature,
  streamFeaturesElement,
  tlsNs,
} from '../stream/features.ts'
import type { OutgoingHead } from '../stream/framing.ts'
import { checkHead, isFromOfHost } from '../stream/head.ts'
import { SaslNegotiation, maxSaslFailures, saslFailure } from '../stream/sasl.ts'
import type { StreamCondition } from '../stream/stream-error.ts'
import { XmlStream } from '../stream/xml-stream.ts'
import type { StreamEnd, StreamOwner } from '../stream/xml-stream.ts'
import { xml } from '../xml/element.ts'
import type { Element } from '../xml/element.ts'
import { clientNs, isContentNs, streamsNs } from '../xml/namespaces.ts'
import type { StreamHead } from '../xml/stream-parser.ts'
import { bindResource, endOldest } from './bind.ts'
import type { ClientParts, ClientSettings } from './client-settings.ts'
import type { ClientStream } from './client-stream.ts'

type State =
  | { readonly kind: 'anonymous' }
  | { readonly kind: 'authenticated'; readonly account: BareJid }
  | { readonly kind: 'bound'; readonly session: Session }

/** What is only needed until a resource is bound. */
interface Negotiation {
  readonly timer: Timer
  readonly sasl: SaslNegotiation
  /** What the last features offered. */
  offer: Offer | undefined
  /** Whether the address may try to sign in at all. */
  isAdmitted: boolean
}

/** A client's stream, from the first byte on (RFC 6120 §4 to §7). */
export class ClientConnection implements ClientStream, SessionStream, StreamOwner {
  readonly #parts: ClientParts
  readonly #settings: ClientSettings
  readonly #stream: XmlStream
  #host: XmppHost | undefined
  #lang: string | undefined
  #state: State = { kind: 'anonymous' }
  #isAbandoned = false
  #negotiation: Negotiation | undefined

  constructor(transport: Transport, parts: ClientParts, settings: ClientSettings) {
    this.#parts = parts
    this.#settings = settings
    this.#stream = new XmlStream(transport, this, settings.stream, settings.limitsBeforeAuth)
    const timeoutMs = parts.config.value.global.negotiation_timeout
    this.#negotiation = {
      timer: parts.clock.after(timeoutMs, () =>
        this.close('connection-timeout', 'Setting up the stream took too long'),
      ),
      sasl: new SaslNegotiation((mechanism) => this.#beginExchange(mechanism)),
      offer: undefined,
      isAdmitted: false,
    }
    this.#stream.limitRate(parts.shapers.rate(settings.shaper, { ip: this.ip }, globalScope))
  }

  start(): void {
    this.#parts.streams.add(this)
    this.#stream.start()
  }

  get phase(): ClientStream['phase'] {
    return this.#state.kind
  }

  /** The default host until the client has named one. */
  get host(): HostName {
    return this.#host?.name ?? this.#defaultHost
  }

  get hooks(): Hooks {
    const host = this.#host ?? this.#parts.router.host(this.#defaultHost)
    if (host === undefined) throw new Error('A stream without a host has no hooks')
    return host.hooks
  }

  get account(): BareJid | undefined {
    const state = this.#state
    switch (state.kind) {
      case 'anonymous':
        return undefined
      case 'authenticated':
        return state.account
      case 'bound':
        return state.session.account
    }
  }

  get session(): Session | undefined {
    return this.#state.kind === 'bound' ? this.#state.session : undefined
  }

  get isEncrypted(): boolean {
    return this.#stream.transport.tls !== undefined
  }

  get connection(): string {
    const { plain, encrypted } = this.#settings.connection
    return this.isEncrypted ? encrypted : plain
  }

  get ip(): string {
    return this.#stream.transport.peer.ip
  }

  get port(): number {
    return this.#stream.transport.peer.port
  }

  get lang(): string {
    return this.#lang ?? this.#parts.config.value.forHost(this.host).language
  }

  sendElement(element: Element): void {
    this.#stream.sendElement(element)
  }

  sendStanza(to: Jid, bytes: StanzaBytes): void {
    this.#stream.sendStanza(to, bytes)
  }

  drained(): Promise<void> | undefined {
    return this.#stream.drained()
  }

  close(condition?: StreamCondition, text?: string, application?: Element): void {
    this.#stream.close(condition, text, application)
  }

  abandon(condition: StreamCondition, text?: string): void {
    this.#isAbandoned = true
    this.#stream.close(condition, text)
  }

  adopt(session: Session): void {
    if (this.#state.kind !== 'authenticated' || session.account !== this.#state.account) {
      throw new Error('Only a stream of the same account can carry a session on')
    }
    const before = session.stream
    session.moveTo(this)
    this.#bound(session)
    before?.close('conflict', 'Resumed on another stream')
    session.hooks.emit(sessionResumed, session)
  }

  headForError(): OutgoingHead {
    return { id: createId(), from: this.host, version: '1.0', lang: 'en' }
  }

  headReceived(head: StreamHead): void {
    const checked = checkHead(head, clientNs)
    if (!checked.ok) {
      this.close(checked.error)
      return
    }
    const { to = this.#defaultHost, from, version, lang } = checked.value
    if (!isFromOfHost(from, to)) {
      this.close('invalid-from')
      return
    }
    const host = this.#parts.router.host(to)
    // Who has signed in somewhere cannot go elsewhere.
    if (host === undefined || (this.#state.kind !== 'anonymous' && host !== this.#host)) {
      this.close('host-unknown')
      return
    }
    this.#host = host
    this.#lang = lang
    // What was offered before TLS, or by another host, holds no more, also for who gets no features.
    if (this.#negotiation !== undefined) this.#negotiation.offer = undefined
    this.#stream.sendHead({
      id: createId(),
      from: host.name,
      to: from,
      version: version >= 1 ? '1.0' : undefined,
      lang: this.lang,
    })
    const negotiation = this.#negotiation
    if (negotiation?.isAdmitted === false) {
      negotiation.isAdmitted = true
      this.#stream.hold(this.#greet(version >= 1))
    } else if (version >= 1) this.#sendFeatures()
  }

  elementReceived(element: Element): void {
    const state = this.#state
    if (state.kind === 'bound' && element.ns === clientNs && isStanzaName(element.name)) {
      const { session } = state
      session.lastHeardMs = this.#parts.clock.monotonic()
      const work = stanzaFromClient(this.#parts.router, session, element)
      if (work !== undefined) this.#stream.hold(work)
      return
    }
    if (state.kind === 'anonymous') {
      if (element.is('starttls', tlsNs)) return this.#startTls()
      if (element.ns === saslNs) return this.#stream.hold(this.#authenticate(element))
    } else if (state.kind === 'authenticated' && element.is('iq', clientNs)) {
      if (this.#bind(element, state.account)) return
    }
    this.#otherElement(element)
  }

  ended(end: StreamEnd): void {
    const { life, streams } = this.#parts
    this.#negotiation?.timer.cancel()
    this.#negotiation = undefined
    streams.delete(this)
    const { session } = this
    // Another stream may have taken the session over.
    if (session?.stream !== this) return
    if (end.kind === 'lost' || this.#isAbandoned) life.lost(session, this)
    else life.end(session)
  }

  get #defaultHost(): HostName {
    const [first] = this.#parts.config.value.hosts
    if (first === undefined) throw new Error('There is no host')
    return first
  }

  get #attempt(): AuthAttempt {
    return { protocol: 'xmpp', ip: this.ip === '' ? undefined : this.ip }
  }

  /** Turns addresses away that are banned, before they learn anything. */
  async #greet(wantsFeatures: boolean): Promise<void> {
    if (!(await this.#isWelcome())) return
    if (wantsFeatures && !this.#stream.isEnded) this.#sendFeatures()
  }

  async #isWelcome(): Promise<boolean> {
    const { host } = this
    const allowed = await this.#parts.signIns.mayTry(host, undefined, this.#attempt)
    if (allowed.ok) return true
    this.close('policy-violation', allowed.error === '' ? undefined : allowed.error)
    return false
  }

  #sendFeatures(): void {
    const isEncrypted = this.isEncrypted
    let features: readonly Element[]
    if (this.#state.kind === 'anonymous') {
      const startTls = this.#canStartTls ? [startTlsFeature(this.#needsTls)] : []
      if (this.#needsTls) {
        // RFC 6120 §5.3.1: nothing else before it.
        this.sendElement(streamFeaturesElement(startTls))
        return
      }
      const offer = this.#makeOffer(isEncrypted)
      features = [...startTls, ...saslFeatures(offer.mechanisms, offer.channelBindings)]
    } else features = bindFeatures
    const all = this.hooks.apply(streamFeatures, features, this)
    this.sendElement(streamFeaturesElement(all === drop ? features : all))
  }

  /** TLS is demanded and not there yet. */
  get #needsTls(): boolean {
    return this.#settings.startTls === 'required' && !this.isEncrypted
  }

  get #canStartTls(): boolean {
    const { startTls, tls } = this.#settings
    return (
      startTls !== 'off' && !this.isEncrypted && tls?.contexts.contextFor(this.host) !== undefined
    )
  }

  /** RFC 6120 §5.4.2 */
  #startTls(): void {
    const { tls } = this.#settings
    if (!this.#canStartTls || tls === undefined) {
      this.sendElement(xml('failure', tlsNs))
      this.close()
      return
    }
    const settings = { ...tls, defaultDomain: this.host }
    const upgrade = async (): Promise<void> => {
      // What came together with the request has been set aside by then.
      await Promise.resolve()
      const outcome = await this.#stream.startTls(xml('proceed', tlsNs), settings)
      if (outcome === 'premature') this.close('policy-violation', 'Data before TLS was agreed on')
    }
    this.#stream.hold(upgrade())
  }

  #makeOffer(isEncrypted: boolean): Offer {
    const { signIns, config } = this.#parts
    const options = config.value.forHost(this.host)
    const offer = offerMechanisms({
      policy: signIns.policy(this.host),
      profile: 'sasl1',
      disabled: options.disable_sasl_mechanisms,
      isEncrypted,
      channelBindings: announcedBindings(this.#stream.transport.tls),
      hasCertificate: this.#certificateAddresses().length > 0,
      protectsFromDowngrade: !options.disable_sasl_scram_downgrade_protection,
    })
    if (this.#negotiation !== undefined) this.#negotiation.offer = offer
    return offer
  }

  /** XEP-0178 §2: addresses in a certificate that an authority of ours vouches for. */
  #certificateAddresses(): readonly string[] {
    const { tls } = this.#stream.transport
    if (!this.#settings.takesCertificates || tls?.peerCertificate === undefined) return []
    return tls.peerCertificateError === undefined ? xmppAddresses(tls.peerCertificate) : []
  }

  #beginExchange(mechanism: string): SaslExchange {
    const { accounts, signIns, log } = this.#parts
    const context: SaslContext = {
      host: this.host,
      attempt: this.#attempt,
      accounts,
      signIns,
      offer: this.#negotiation?.offer ?? this.#makeOffer(this.isEncrypted),
      accountOf: localAccount(this.host),
      channelBindings: channelBindingsOf(this.#stream.transport.tls),
      certificateAddresses: this.#certificateAddresses(),
    }
    return new SaslExchange(mechanism, context, log)
  }

  /** RFC 6120 §6.4 */
  async #authenticate(element: Element): Promise<void> {
    const sasl = this.#negotiation?.sasl
    if (sasl === undefined) return
    if (this.#needsTls) {
      this.sendElement(saslFailure(failure('encryption-required')))
      return
    }
    const reply = await sasl.receive(element)
    if (this.#stream.isEnded) return
    if (reply === undefined) {
      this.close('unsupported-stanza-type')
      return
    }
    this.sendElement(reply.element)
    const { outcome } = reply
    if (outcome === undefined) return
    const { log } = this.#parts
    if (outcome.kind === 'success') {
      log.info({ account: outcome.account, ip: this.ip }, 'Client signed in')
      this.#state = { kind: 'authenticated', account: outcome.account }
      this.#stream.limits = this.#settings.limits
      this.#stream.restart()
      return
    }
    log.info(
      { account: outcome.account, ip: this.ip, condition: outcome.condition },
      'Client failed to sign in',
    )
    if (sasl.failures >= maxSaslFailures) {
      this.close('policy-violation', 'Too many failed attempts to sign in')
    } else await this.#isWelcome()
  }

  /** RFC 6120 §7.6, §7.7; false if it is another request. */
  #bind(element: Element, account: BareJid): boolean {
    const read = readStanza(element, account, account)
    const iq = read.ok && read.value.kind === 'iq' ? read.value : undefined
    const request = iq?.type === 'set' ? payloadOf(iq) : undefined
    if (iq === undefined || request?.is('bind', bindNs) !== true) return false
    const { router, access, config, life, clock, shapers } = this.#parts
    const bound = bindResource(
      {
        account,
        resource: request.childText('resource'),
        ip: this.ip,
        conflict: config.value.forHost(this.host).resource_conflict,
        access: this.#settings.access,
      },
      router.sessions,
      access,
    )
    if (!bound.ok) {
      this.#answer(errorReply(iq, bound.error))
      return true
    }
    const jid = bound.value
    const session = new Session({ jid, connectedAt: clock.now(), hooks: this.hooks, life }, this)
    this.#answer(result(iq, xml('bind', bindNs, {}, xml('jid', bindNs, {}, jid))))
    this.#bound(session)
    life.open(session)
    endOldest(account, router.sessions, shapers)
    return true
  }

  #answer(iq: Iq): void {
    this.sendStanza(
      iq.to,
      new SharedStanza(iq.element.withAttrs({ from: undefined, to: undefined })),
    )
  }

  #bound(session: Session): void {
    this.#state = { kind: 'bound', session }
    this.#negotiation?.timer.cancel()
    this.#negotiation = undefined
    session.lastHeardMs = this.#parts.clock.monotonic()
    const { shapers } = this.#parts
    const subject = subjectOf(session.jid, this.ip)
    this.#stream.limitRate(shapers.rate(this.#settings.shaper, subject, session.host))
  }

  /** What is no business of the core's: a module's, or nobody's. */
  #otherElement(element: Element): void {
    const isStanza = element.ns === clientNs && isStanzaName(element.name)
    if (element.ns === streamsNs) {
      // RFC 6120 §4.9.1.1: the peer's stream error is its last word.
      this.close()
      return
    }
    const answer = this.hooks.decide(elementReceived, this, element)
    if (answer instanceof Promise) {
      this.#stream.hold(answer.then(() => undefined))
    } else if (answer !== 'handled') {
      if (isStanza) this.close('not-authorized')
      else if (element.ns !== clientNs && isContentNs(element.ns)) this.close('invalid-namespace')
      else this.close('unsupported-stanza-type')
    }
  }
}
