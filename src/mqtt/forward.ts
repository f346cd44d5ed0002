import type { Connection } from './connection.ts'
import { Message } from './message.ts'
import type { PublishView } from './packet/publish-view.ts'
import type { Route } from './route.ts'

/*
 * The shortest way through the broker, for QoS 0: packets whose subscribers take them as they came are not even copied one
 * by one. Those that follow one another in the read buffer with the same topic leave as one range for each subscriber. All
 * this happens within one callback of one transport, so there is one run at a time; who handles anything else meanwhile
 * calls `flushForwarded` first.
 */
let runOwner: Connection | undefined
let runRoute: Route | undefined
let runBytes: Uint8Array = new Uint8Array(0)
let runStart = 0
let runEnd = 0
let runCount = 0
/** No subscriber takes a larger packet. */
let runLimit = 0

const noBytes = runBytes

/** Routes a message of QoS 0 that is allowed, not retained and of no interest to hooks. */
export function forward(connection: Connection, view: PublishView, route: Route): void {
  const { start, end, bytes } = view
  // No alias, no DUP: the packet would be the same if we wrote it.
  const isPlain = view.topicAlias === 0 && bytes[start] === 0x30
  if (
    isPlain &&
    runRoute === route &&
    runOwner === connection &&
    runEnd === start &&
    runBytes === bytes &&
    end - start <= runLimit
  ) {
    runEnd = end
    runCount += 1
    return
  }
  flushForwarded()
  if (route.matches.isEmpty) return
  const limit = isPlain ? forwardLimit(connection, route) : 0
  if (end - start <= limit) {
    runOwner = connection
    runRoute = route
    runBytes = bytes
    runStart = start
    runEnd = end
    runCount = 1
    runLimit = limit
    return
  }
  const { broker } = connection
  if (broker === undefined) return
  const nowMs = view.messageExpiryAt < 0 ? 0 : broker.nowMs()
  const message = Message.fromView(view, route.topic, nowMs)
  message.sample = broker.metrics.latency.current
  broker.distribute(message, route.matches, connection.session)
}

/** Hands the run to its subscribers. */
export function flushForwarded(): void {
  const route = runRoute
  const owner = runOwner
  if (route === undefined || owner === undefined) return
  const bytes = runBytes
  const length = runEnd - runStart
  runRoute = undefined
  runOwner = undefined
  runBytes = noBytes
  let isSent = false
  for (const { session } of route.matches.targets) {
    const { connection } = session
    if (connection === undefined || connection.broker === undefined) continue
    const { metrics } = connection.broker
    if (connection.isCongested) {
      metrics.dropped.slow_subscriber.value += runCount
      continue
    }
    connection.transport.writeCopy(bytes, runStart, runEnd)
    isSent = true
    connection.messagesOut += runCount
    metrics.sent[0].value += runCount
    metrics.sentBytes.value += length
  }
  if (isSent) owner.broker?.metrics.latency.current?.sent()
}

/** The largest packet that can be handed on as it is to everybody on the route; 0 when somebody needs another form. */
function forwardLimit({ version, session: publisher }: Connection, route: Route): number {
  const { groups, internal, targets } = route.matches
  if (groups.length > 0 || internal.length > 0) return 0
  let limit = Infinity
  for (const { session, identifiers, own } of targets) {
    const { connection } = session
    if (connection === undefined || !connection.isOpen) return 0
    // PUBLISH is the same in MQTT 3.1 and 3.1.1.
    if ((connection.version === 5) !== (version === 5)) return 0
    if (version === 5 && (identifiers !== undefined || connection.usesAliases)) return 0
    if (own !== undefined && session === publisher) return 0
    if (session.queuedQoS0 > 0 || session.uncommitted > 0) return 0
    // MQTT5 3.1.2-24.
    if (connection.maximumPacketSize < limit) limit = connection.maximumPacketSize
  }
  return limit
}
