import type { Access } from '../../core/access.ts'
import type { SignIns, Accounts } from '../../core/account.ts'
import type { Clock } from '../../core/clock.ts'
import type { CurrentConfig } from '../../core/current-config.ts'
import type { Log } from '../../core/log.ts'
import type { AccessRule, ShaperRule } from '../../core/options/rule-types.ts'
import type { Shapers } from '../../core/shaper.ts'
import type { TlsServerSettings } from '../../core/transport.ts'
import type { Router } from '../router.ts'
import type { SessionLife } from '../session-life.ts'
import type { StreamSettings } from '../stream/xml-stream.ts'
import type { XmlLimits } from '../xml/limits.ts'
import type { ClientStreams } from './client-streams.ts'

/** What streams of clients need of the server. */
export interface ClientParts {
  readonly router: Router
  readonly life: SessionLife
  readonly streams: ClientStreams
  readonly accounts: Pick<Accounts, 'scramKeys'>
  readonly signIns: SignIns
  readonly access: Access
  readonly shapers: Shapers
  readonly config: CurrentConfig
  readonly clock: Clock
  readonly log: Log
}

/** What a listener says about the streams that come in by it. */
export interface ClientSettings {
  readonly stream: StreamSettings
  /** How the connection is called, in ejabberd's words: `c2s`, `c2s_tls`, `websocket`. */
  readonly connection: { readonly plain: string; readonly encrypted: string }
  readonly startTls: 'off' | 'optional' | 'required'
  /** Certificates for STARTTLS. */
  readonly tls: TlsServerSettings | undefined
  /** Whether a client's certificate that was verified lets it in (SASL EXTERNAL). */
  readonly takesCertificates: boolean
  readonly access: AccessRule
  readonly shaper: ShaperRule
  readonly limits: XmlLimits
  readonly limitsBeforeAuth: XmlLimits
}
