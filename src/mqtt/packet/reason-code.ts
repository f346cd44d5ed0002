import type { PacketKind, ProtocolVersion } from './packet-type.ts'

/** Reason codes by name (MQTT5 2.4). Zero has three names, one for each meaning. */
export const ReasonCode = {
  success: 0x00,
  normalDisconnection: 0x00,
  grantedQoS0: 0x00,
  grantedQoS1: 0x01,
  grantedQoS2: 0x02,
  disconnectWithWillMessage: 0x04,
  noMatchingSubscribers: 0x10,
  noSubscriptionExisted: 0x11,
  continueAuthentication: 0x18,
  reAuthenticate: 0x19,
  unspecifiedError: 0x80,
  malformedPacket: 0x81,
  protocolError: 0x82,
  implementationSpecificError: 0x83,
  unsupportedProtocolVersion: 0x84,
  clientIdentifierNotValid: 0x85,
  badUserNameOrPassword: 0x86,
  notAuthorized: 0x87,
  serverUnavailable: 0x88,
  serverBusy: 0x89,
  banned: 0x8a,
  serverShuttingDown: 0x8b,
  badAuthenticationMethod: 0x8c,
  keepAliveTimeout: 0x8d,
  sessionTakenOver: 0x8e,
  topicFilterInvalid: 0x8f,
  topicNameInvalid: 0x90,
  packetIdentifierInUse: 0x91,
  packetIdentifierNotFound: 0x92,
  receiveMaximumExceeded: 0x93,
  topicAliasInvalid: 0x94,
  packetTooLarge: 0x95,
  messageRateTooHigh: 0x96,
  quotaExceeded: 0x97,
  administrativeAction: 0x98,
  payloadFormatInvalid: 0x99,
  retainNotSupported: 0x9a,
  qosNotSupported: 0x9b,
  useAnotherServer: 0x9c,
  serverMoved: 0x9d,
  sharedSubscriptionsNotSupported: 0x9e,
  connectionRateExceeded: 0x9f,
  maximumConnectTime: 0xa0,
  subscriptionIdentifiersNotSupported: 0xa1,
  wildcardSubscriptionsNotSupported: 0xa2,
} as const

export type ReasonCode = (typeof ReasonCode)[keyof typeof ReasonCode]

export interface ReasonCodeEntry {
  readonly value: ReasonCode
  /** As the specification spells it; fit for a Reason String. */
  readonly name: string
  /** The packets that may carry it. */
  readonly packets: readonly PacketKind[]
}

/** The table of MQTT5 2.4, in its order. */
export const reasonCodes: readonly ReasonCodeEntry[] = [
  entry(0x00, 'Success', 'connack puback pubrec pubrel pubcomp unsuback auth'),
  entry(0x00, 'Normal disconnection', 'disconnect'),
  entry(0x00, 'Granted QoS 0', 'suback'),
  entry(0x01, 'Granted QoS 1', 'suback'),
  entry(0x02, 'Granted QoS 2', 'suback'),
  entry(0x04, 'Disconnect with Will Message', 'disconnect'),
  entry(0x10, 'No matching subscribers', 'puback pubrec'),
  entry(0x11, 'No subscription existed', 'unsuback'),
  entry(0x18, 'Continue authentication', 'auth'),
  entry(0x19, 'Re-authenticate', 'auth'),
  entry(0x80, 'Unspecified error', 'connack puback pubrec suback unsuback disconnect'),
  entry(0x81, 'Malformed Packet', 'connack disconnect'),
  entry(0x82, 'Protocol Error', 'connack disconnect'),
  entry(0x83, 'Implementation specific error', 'connack puback pubrec suback unsuback disconnect'),
  entry(0x84, 'Unsupported Protocol Version', 'connack'),
  entry(0x85, 'Client Identifier not valid', 'connack'),
  entry(0x86, 'Bad User Name or Password', 'connack'),
  entry(0x87, 'Not authorized', 'connack puback pubrec suback unsuback disconnect'),
  entry(0x88, 'Server unavailable', 'connack'),
  entry(0x89, 'Server busy', 'connack disconnect'),
  entry(0x8a, 'Banned', 'connack'),
  entry(0x8b, 'Server shutting down', 'disconnect'),
  entry(0x8c, 'Bad authentication method', 'connack disconnect'),
  entry(0x8d, 'Keep Alive timeout', 'disconnect'),
  entry(0x8e, 'Session taken over', 'disconnect'),
  entry(0x8f, 'Topic Filter invalid', 'suback unsuback disconnect'),
  entry(0x90, 'Topic Name invalid', 'connack puback pubrec disconnect'),
  entry(0x91, 'Packet Identifier in use', 'puback pubrec suback unsuback'),
  entry(0x92, 'Packet Identifier not found', 'pubrel pubcomp'),
  entry(0x93, 'Receive Maximum exceeded', 'disconnect'),
  entry(0x94, 'Topic Alias invalid', 'disconnect'),
  entry(0x95, 'Packet too large', 'connack disconnect'),
  entry(0x96, 'Message rate too high', 'disconnect'),
  entry(0x97, 'Quota exceeded', 'connack puback pubrec suback disconnect'),
  entry(0x98, 'Administrative action', 'disconnect'),
  entry(0x99, 'Payload format invalid', 'connack puback pubrec disconnect'),
  entry(0x9a, 'Retain not supported', 'connack disconnect'),
  entry(0x9b, 'QoS not supported', 'connack disconnect'),
  entry(0x9c, 'Use another server', 'connack disconnect'),
  entry(0x9d, 'Server moved', 'connack disconnect'),
  entry(0x9e, 'Shared Subscriptions not supported', 'suback disconnect'),
  entry(0x9f, 'Connection rate exceeded', 'connack disconnect'),
  entry(0xa0, 'Maximum connect time', 'disconnect'),
  entry(0xa1, 'Subscription Identifiers not supported', 'suback disconnect'),
  entry(0xa2, 'Wildcard Subscriptions not supported', 'suback disconnect'),
]

function entry(value: ReasonCode, name: string, packets: string): ReasonCodeEntry {
  // The one cast of this table: the words above are packet kinds, which a test checks.
  return { value, name, packets: packets.split(' ') as PacketKind[] }
}

const byPacket = new Map<PacketKind, Map<number, ReasonCodeEntry>>()
for (const row of reasonCodes) {
  for (const kind of row.packets) {
    const codes = byPacket.get(kind) ?? new Map<number, ReasonCodeEntry>()
    codes.set(row.value, row)
    byPacket.set(kind, codes)
  }
}

/** The code, if a packet of this kind may carry it. */
export function reasonCodeOf(kind: PacketKind, value: number): ReasonCode | undefined {
  return byPacket.get(kind)?.get(value)?.value
}

/** The code's name in the specification; zero is named after the packet that carries it. */
export function reasonName(value: ReasonCode, kind?: PacketKind): string {
  const own = kind === undefined ? undefined : byPacket.get(kind)?.get(value)
  return (own ?? reasonCodes.find((row) => row.value === value))?.name ?? `0x${value.toString(16)}`
}

/** CONNACK return codes of MQTT 3.1 and 3.1.1 (MQTT3 3.2.2.3). */
export type ConnectReturnCode = 0 | 1 | 2 | 3 | 4 | 5

const toReturnCode: ReadonlyMap<ReasonCode, ConnectReturnCode> = new Map([
  [ReasonCode.success, 0],
  [ReasonCode.unsupportedProtocolVersion, 1],
  [ReasonCode.clientIdentifierNotValid, 2],
  [ReasonCode.badUserNameOrPassword, 4],
  [ReasonCode.badAuthenticationMethod, 4],
  [ReasonCode.notAuthorized, 5],
  [ReasonCode.banned, 5],
  [ReasonCode.malformedPacket, 5],
  [ReasonCode.protocolError, 5],
  [ReasonCode.topicNameInvalid, 5],
  [ReasonCode.packetTooLarge, 5],
  [ReasonCode.payloadFormatInvalid, 5],
  [ReasonCode.retainNotSupported, 5],
  [ReasonCode.qosNotSupported, 5],
])

/**
 * The MQTT 3 return code nearest to a reason code: what a retry may mend is "server unavailable", a
 * refusal for good is "not authorized". MQTT 3 has none for malformed packets (close without CONNACK,
 * MQTT3 3.2.2-6), so a server sends CONNACK there only for what it refuses after decoding.
 */
export function connectReturnCode(reason: ReasonCode): ConnectReturnCode {
  return toReturnCode.get(reason) ?? 3
}

const fromReturnCode: readonly ReasonCode[] = [0x00, 0x84, 0x85, 0x88, 0x86, 0x87]

/** The reason code for an MQTT 3 return code, or undefined when it is reserved (MQTT3 3.2.2.3). */
export function reasonFromReturnCode(returnCode: number): ReasonCode | undefined {
  return fromReturnCode[returnCode]
}

/** The byte that stands for a SUBACK reason: MQTT 3 knows one failure code (MQTT3 3.9.3-2). */
export function subackByte(reason: ReasonCode, version: ProtocolVersion): number {
  return version < 5 && reason > 2 ? 0x80 : reason
}
