import type { Hooks } from '../../core/hooks.ts'
import type { BareJid, HostName } from '../jid/jid.ts'
import type { Session } from '../session.ts'
import type { StreamCondition } from '../stream/stream-error.ts'
import type { Element } from '../xml/element.ts'

/** A client's stream as modules see it, whatever carries it. */
export interface ClientStream {
  /** `anonymous`: before authentication; `authenticated`: it may bind or resume; `bound`: it carries a session. */
  readonly phase: 'anonymous' | 'authenticated' | 'bound'
  readonly host: HostName
  readonly hooks: Hooks
  /** Known from authentication on. */
  readonly account: BareJid | undefined
  readonly session: Session | undefined
  readonly isEncrypted: boolean
  /** ejabberd's words: `c2s`, `c2s_tls`, `websocket`, … */
  readonly connection: string
  readonly ip: string
  /** `xml:lang` of the stream's head. */
  readonly lang: string
  sendElement(element: Element): void
  /** Carries a session that has lost its stream (XEP-0198 §5) from now on. */
  adopt(session: Session): void
  close(condition: StreamCondition, text?: string, application?: Element): void
}
