import type { AccessRule } from '../core/options/rule-types.ts'
import { noRedirect } from './redirect.ts'
import type { RedirectSettings } from './redirect.ts'
import type { TopicRule } from './topic-rule.ts'

/** What a broker goes by, in the units of the protocol. A reload puts new ones in its place. */
export interface BrokerSettings {
  /** Who may connect. */
  readonly access: AccessRule
  /** Access rules by topic filter; empty = everything is allowed. */
  readonly accessPublish: ReadonlyMap<string, TopicRule>
  readonly accessSubscribe: ReadonlyMap<string, TopicRule>
  readonly redirect: RedirectSettings
  /** What clients get that ask for response information, with `%u`, `%d` and `%c` in it; '' = nothing. */
  readonly responseInformation: string
  /** Who may subscribe to `$SYS`. */
  readonly accessSys: AccessRule
  /** Between two publications of figures below `$SYS`; 0 = there are none. */
  readonly sysIntervalSeconds: number
  /** Outgoing messages that wait in one session, beside those in flight. */
  readonly maxQueue: number
  /** Bytes of what waits and of what is in flight in one session. */
  readonly maxQueueBytes: number
  /** Bytes of all messages that wait or are in flight in any session, each counted once. */
  readonly maxTotalQueueBytes: number
  /** Upper bound of the session expiry interval; 0 = sessions end with the connection. */
  readonly sessionExpirySeconds: number
  /** A filter with this many slashes is refused. */
  readonly maxTopicDepth: number
  /** Topic Alias Maximum announced to clients. */
  readonly maxTopicAliases: number
  /** Retained messages sent for one filter. */
  readonly matchRetainedLimit: number
  /** Unacknowledged messages on their way to one client, if its Receive Maximum is not smaller. */
  readonly maxInflight: number
  /** Receive Maximum announced to clients. */
  readonly receiveMaximum: number
  /** Upper bound of the keep alive; `Infinity` = the client's own, 0 included. */
  readonly maxKeepAliveSeconds: number
  readonly maxSubscriptions: number
  /** Sessions of one account, connected or not. */
  readonly maxUserSessions: number
  readonly maxRetained: number
  readonly maxRetainedBytes: number
}

/** The defaults of `mod_mqtt`, for brokers that are made by hand. */
export const defaultSettings: BrokerSettings = {
  access: { kind: 'all' },
  accessPublish: new Map(),
  accessSubscribe: new Map(),
  redirect: noRedirect,
  responseInformation: 'response/%d/%u/%c',
  accessSys: { kind: 'named', name: 'configure' },
  sysIntervalSeconds: 10,
  maxQueue: 5000,
  maxQueueBytes: 32 * 1024 * 1024,
  maxTotalQueueBytes: 512 * 1024 * 1024,
  sessionExpirySeconds: 300,
  maxTopicDepth: 8,
  maxTopicAliases: 100,
  matchRetainedLimit: 1000,
  maxInflight: 256,
  // COMPAT: mqtt.js does not heed the server's, and would be disconnected for publishing more in one go.
  receiveMaximum: 65_535,
  maxKeepAliveSeconds: Infinity,
  maxSubscriptions: 10_000,
  maxUserSessions: 100_000,
  maxRetained: 1_000_000,
  maxRetainedBytes: 1024 * 1024 * 1024,
}
