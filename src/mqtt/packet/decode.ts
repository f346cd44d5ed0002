import { decodeBody } from './body.ts'
import { decodeConnect, readProtocol } from './connect.ts'
import { Cursor } from './cursor.ts'
import type { ControlPacket, Packet } from './packet.ts'
import { type PacketKind, PacketType, packetKindOf, type ProtocolVersion } from './packet-type.ts'
import { PropertyReader } from './properties.ts'
import { decodePublish, PublishView } from './publish-view.ts'
import { ReasonCode } from './reason-code.ts'
import { maxPacketBytes } from './size.ts'
import { err, ok, type Result } from '../../util/result.ts'

/** What a decoder does with the packets of its peer. Both are called in the order of the stream. */
export interface PacketHandler {
  /** Every packet but PUBLISH. The handler may keep it: nothing in it refers to a read buffer. */
  packet(packet: ControlPacket): void
  /** The view and its buffer are valid only inside this call. */
  publish(view: PublishView): void
}

/** A stream that cannot be decoded further. Packets before the fault were handed out. */
export interface Malformed {
  readonly kind: 'malformed'
  /** For CONNACK or DISCONNECT. */
  readonly reasonCode: ReasonCode
  /** Names the rule that was broken; fit for a log and a Reason String. */
  readonly detail: string
  /** Undefined when not even the type is known. */
  readonly packet: PacketKind | undefined
  /** Undefined before a CONNECT has named a version that is supported. */
  readonly version: ProtocolVersion | undefined
}

/**
 * What a push came to: every packet given so far was `complete`, the last one is `incomplete`, the
 * stream is `malformed`, or the handler has `paused` or `stopped` the decoder.
 */
export type Outcome =
  | { readonly kind: 'complete' }
  | { readonly kind: 'incomplete' }
  | { readonly kind: 'paused' }
  | { readonly kind: 'stopped' }
  | Malformed

const complete: Outcome = Object.freeze({ kind: 'complete' })
const incomplete: Outcome = Object.freeze({ kind: 'incomplete' })
const paused: Outcome = Object.freeze({ kind: 'paused' })
const stopped: Outcome = Object.freeze({ kind: 'stopped' })

export interface DecoderOptions {
  /** Largest packet accepted, fixed header included (MQTT5 3.1.2.11.4). */
  readonly maxPacketBytes: number
  /** Bytes kept while paused before the stream counts as malformed (0x97). Default 1 MiB. */
  readonly maxPausedBytes?: number
  /** A server's decoder takes it from the CONNECT; a client's is told what it sent. */
  readonly version?: ProtocolVersion
  /** Who reads: decides which packets may come and which rules hold. Default `server`. */
  readonly receiver?: 'server' | 'client'
}

/** What a decoder works with while it decodes: lent out, so that those that wait hold none. */
class DecodingTools {
  readonly cursor = new Cursor(noBytes, 0, 0)
  readonly reader = new PropertyReader(this.cursor)
  readonly view = new PublishView()
}

/** More than one is only needed where a handler's call leads to another connection's packets. */
const spareTools: DecodingTools[] = []
const maxSpareTools = 8

const firstPartialBytes = 256
const noBytes = new Uint8Array(0)

/**
 * Turns a byte stream into packets of MQTT 3.1, 3.1.1 and 5.0. Packets may be split anywhere.
 *
 * A packet inside one pushed range is decoded where it stands. One that spans pushes is collected in a
 * buffer of the decoder that doubles up to the packet's size, so that an announced length costs nothing
 * before the bytes come, and is dropped after the packet: an idle decoder holds no buffer.
 *
 * A handler that throws leaves the decoder undefined: close the connection.
 */
export class PacketDecoder {
  #maxPacketBytes: number
  readonly #maxPausedBytes: number
  readonly #fromClient: boolean
  #version: ProtocolVersion | undefined
  #tools: DecodingTools | undefined
  #state: 'open' | 'paused' | 'stopped' = 'open'
  #inside = false
  #malformed: Malformed | undefined
  /** The beginning of a packet, or, while paused, whatever came since. */
  #held: Uint8Array | undefined
  #heldStart = 0
  #heldEnd = 0

  constructor(options: DecoderOptions) {
    this.#maxPacketBytes = options.maxPacketBytes
    this.#maxPausedBytes = options.maxPausedBytes ?? 1_048_576
    this.#version = options.version
    this.#fromClient = options.receiver !== 'client'
  }

  get version(): ProtocolVersion | undefined {
    return this.#version
  }

  /** Bytes kept for an incomplete packet or while paused. */
  get heldBytes(): number {
    return this.#heldEnd - this.#heldStart
  }

  /** For a smaller limit before authentication. Holds from the next packet on. */
  set maxPacketBytes(bytes: number) {
    this.#maxPacketBytes = bytes
  }

  get maxPacketBytes(): number {
    return this.#maxPacketBytes
  }

  /** Hands out no packet after the current one until `resume()`. The caller stops reading meanwhile. */
  pause(): void {
    if (this.#state === 'open') this.#state = 'paused'
  }

  /** Goes on after `pause()`, first with what was kept. */
  resume(handler: PacketHandler): Outcome {
    if (this.#state === 'paused') this.#state = 'open'
    // Inside a handler's call the loop around it goes on by itself.
    if (this.#inside) return incomplete
    const held = this.#held
    if (held === undefined || !this.#is('open')) return this.#resting()
    const end = this.#heldEnd
    const start = this.#heldStart
    this.#release()
    const at = this.#run(held, start, end, handler)
    if (this.#is('paused') && at < end) {
      // Paused again: what is left stays where it is, however often that happens.
      this.#held = held
      this.#heldStart = at
      this.#heldEnd = end
    } else {
      this.#keep(held, at, end)
    }
    return this.#letGo()
  }

  /** Ends decoding for good, for instance because the connection is being closed. */
  stop(): void {
    this.#state = 'stopped'
    this.#release()
  }

  /** Decodes the range `start` to `end`. Nothing of `bytes` is referred to after the call. */
  push(bytes: Uint8Array, start: number, end: number, handler: PacketHandler): Outcome {
    if (this.#state !== 'open' || this.#malformed !== undefined) {
      if (this.#state === 'paused') this.#keepPaused(bytes, start, end)
      return this.#resting()
    }
    let at = start
    if (this.#held !== undefined) {
      at = this.#fill(bytes, start, end, handler)
      // Either the input is used up or the packet is done.
      if (this.#held !== undefined) return incomplete
    }
    at = this.#run(bytes, at, end, handler)
    this.#keep(bytes, at, end)
    return this.#letGo()
  }

  /** Decodes the packets that lie whole in the range; returns the end of the last. */
  #run(bytes: Uint8Array, start: number, end: number, handler: PacketHandler): number {
    let at = start
    while (at < end && this.#is('open')) {
      const size = this.#packetSize(bytes, at, end)
      if (size === 0 || at + size > end) break
      this.#decode(bytes, at, at + size, handler)
      at += size
    }
    return at
  }

  /** Copies the beginning of a packet, or everything that a pause left over. */
  #keep(bytes: Uint8Array, start: number, end: number): void {
    if (start === end || this.#malformed !== undefined || this.#is('stopped')) return
    const size = this.#is('paused') ? 0 : this.#packetSize(bytes, start, end)
    this.#append(bytes, start, end, Math.max(size, end - start))
  }

  #is(state: 'open' | 'paused' | 'stopped'): boolean {
    return this.#state === state && this.#malformed === undefined
  }

  /** Forgets the buffer decoded last, so that neither memory nor a late reader hangs on to it. */
  #letGo(): Outcome {
    const tools = this.#tools
    if (tools !== undefined) {
      this.#tools = undefined
      tools.cursor.reset(noBytes, 0, 0)
      tools.view.bytes = noBytes
      if (spareTools.length < maxSpareTools) spareTools.push(tools)
    }
    return this.#resting()
  }

  #resting(): Outcome {
    if (this.#malformed !== undefined) return this.#malformed
    if (this.#state === 'paused') return paused
    if (this.#state === 'stopped') return stopped
    return this.#held === undefined ? complete : incomplete
  }

  /** Completes the held packet from the input and decodes it; returns where the input goes on. */
  #fill(bytes: Uint8Array, start: number, end: number, handler: PacketHandler): number {
    let at = start
    let held = this.#held
    let size = held === undefined ? 0 : this.#packetSize(held, 0, this.#heldEnd)
    if (this.#malformed !== undefined) return end
    while (held !== undefined && at < end) {
      // Until the fixed header is complete its bytes come one by one, five at most.
      const take = size === 0 ? 1 : Math.min(size - this.#heldEnd, end - at)
      this.#append(bytes, at, at + take, size)
      at += take
      held = this.#held
      if (held === undefined) break
      if (size === 0) size = this.#packetSize(held, 0, this.#heldEnd)
      if (this.#malformed !== undefined) return end
      if (size === this.#heldEnd) {
        this.#release()
        this.#decode(held, 0, size, handler)
        break
      }
    }
    return at
  }

  /** Size of the packet at `at`, or 0 when its fixed header is incomplete or wrong. */
  #packetSize(bytes: Uint8Array, at: number, end: number): number {
    const first = bytes[at] ?? 0
    if (!this.#firstByteIsValid(first)) return 0
    let length = 0
    let i = at + 1
    for (let shift = 0; ; shift += 7) {
      if (i >= end) return 0
      const byte = bytes[i++] ?? 0
      length |= (byte & 0x7f) << shift
      if (byte < 0x80) break
      if (shift === 21) {
        // MQTT5 1.5.5, MQTT3 2.2.3.
        return this.#fail(
          first,
          ReasonCode.malformedPacket,
          'Remaining Length has more than four bytes (MQTT5 1.5.5)',
        )
      }
    }
    const size = i - at + length
    if (size > this.#maxPacketBytes) {
      // Before a byte of it is kept (MQTT5 3.2.2-15).
      return this.#fail(
        first,
        ReasonCode.packetTooLarge,
        `Packet of ${size} bytes is larger than ${this.#maxPacketBytes} (MQTT5 3.2.2-15)`,
      )
    }
    return size
  }

  /** Checks type and flags as soon as they are there, so that a stray HTTP request is not waited for. */
  #firstByteIsValid(first: number): boolean {
    const type = first >> 4
    if (type === PacketType.publish) {
      if (this.#version !== undefined) return true
      return this.#reject(first)
    }
    if (this.#version === undefined) return type === PacketType.connect || this.#reject(first)
    if (type === 0 || (type === PacketType.auth && this.#version < 5)) {
      this.#fail(first, ReasonCode.malformedPacket, `Packet type ${type} is reserved (MQTT5 2.1.2)`)
      return false
    }
    if (!this.#mayCome(type)) {
      // A second CONNECT is MQTT5 3.1.0-2, MQTT3 3.1.0-2.
      const kind = packetKindOf(type)?.toUpperCase()
      this.#fail(
        first,
        ReasonCode.protocolError,
        `${kind} may not come here (MQTT5 3.1.0-2, 2.1.2)`,
      )
      return false
    }
    return this.#flagsAreValid(first, this.#version)
  }

  #reject(first: number): false {
    this.#fail(
      first,
      first >> 4 === 0 ? ReasonCode.malformedPacket : ReasonCode.protocolError,
      'First packet is not CONNECT (MQTT5 3.1.0-1, MQTT3 3.1.0-1)',
    )
    return false
  }

  #mayCome(type: number): boolean {
    switch (type) {
      case PacketType.connect:
        return false
      case PacketType.subscribe:
      case PacketType.unsubscribe:
      case PacketType.pingreq:
        return this.#fromClient
      case PacketType.connack:
      case PacketType.suback:
      case PacketType.unsuback:
      case PacketType.pingresp:
        return !this.#fromClient
      default:
        return true
    }
  }

  #flagsAreValid(first: number, version: ProtocolVersion): boolean {
    const type = first >> 4
    const flags = first & 0x0f
    const expected =
      type === PacketType.pubrel || type === PacketType.subscribe || type === PacketType.unsubscribe
        ? 2
        : 0
    // MQTT 3.1 (§2.1): DUP may be set on these three, and what is not used is not looked at.
    if (flags === expected || version === 3) return true
    const name = packetKindOf(type)?.toUpperCase()
    this.#fail(
      first,
      ReasonCode.malformedPacket,
      // MQTT5 2.1.3-1, 3.6.1-1, 3.8.1-1, 3.10.1-1, 3.14.1-1, 3.15.1-1; MQTT3 2.2.2-1, 2.2.2-2.
      `${name} has flags ${flags}, not ${expected} (MQTT5 2.1.3-1, MQTT3 2.2.2-2)`,
    )
    return false
  }

  #decode(bytes: Uint8Array, start: number, end: number, handler: PacketHandler): void {
    const first = bytes[start] ?? 0
    const tools = (this.#tools ??= spareTools.pop() ?? new DecodingTools())
    const { cursor, reader } = tools
    const lengthAt = start + 1
    let at = lengthAt
    while ((bytes[at] ?? 0) >= 0x80) at += 1
    const longForm = at > lengthAt && bytes[at] === 0
    cursor.reset(bytes, at + 1, end)
    const type = first >> 4
    this.#inside = true
    if (type === PacketType.publish && this.#version !== undefined) {
      if (longForm && this.#version === 5) longLength(cursor)
      const { view } = tools
      decodePublish(view, cursor, reader, start, first & 0x0f, this.#version, this.#fromClient)
      if (cursor.fault === undefined) handler.publish(view)
    } else {
      const packet = this.#decodeControl(tools, first, longForm)
      if (cursor.fault === undefined && packet !== undefined) handler.packet(packet)
    }
    this.#inside = false
    if (cursor.fault !== undefined) this.#fail(first, cursor.fault.reasonCode, cursor.fault.detail)
  }

  #decodeControl(
    { cursor, reader }: DecodingTools,
    first: number,
    longForm: boolean,
  ): ControlPacket | undefined {
    const kind = packetKindOf(first >> 4)
    if (kind === undefined || kind === 'publish') return undefined
    let packet: ControlPacket | undefined
    if (kind === 'connect') {
      const protocol = readProtocol(cursor)
      if (protocol === undefined) return undefined
      const { version } = protocol
      this.#version = version
      if ((first & 0x0f) !== 0 && version > 3) {
        cursor.malformed('CONNECT has flags (MQTT5 2.1.3-1, MQTT3 2.2.2-2)')
      }
      packet = decodeConnect(cursor, reader, protocol)
    } else if (this.#version !== undefined) {
      packet = decodeBody(kind, cursor, reader, this.#version, this.#fromClient)
    }
    if (longForm && this.#version === 5) longLength(cursor)
    // MQTT5 3.1.2-16, 3.1.2-18.
    if (cursor.remaining > 0) {
      cursor.malformed(`${kind.toUpperCase()} is longer than its content (MQTT5 2.1.4)`)
    }
    return packet
  }

  #fail(first: number, reasonCode: ReasonCode, detail: string): 0 {
    this.#malformed ??= {
      kind: 'malformed',
      reasonCode,
      detail,
      packet: packetKindOf(first >> 4),
      version: this.#version,
    }
    this.#release()
    return 0
  }

  #keepPaused(bytes: Uint8Array, start: number, end: number): void {
    if (this.#malformed !== undefined) return
    if (this.heldBytes + end - start > this.#maxPausedBytes) {
      this.#fail(
        0,
        ReasonCode.quotaExceeded,
        'Too much data before the previous packet was answered',
      )
      return
    }
    this.#append(bytes, start, end, this.#maxPausedBytes)
  }

  /** Adds to the held bytes; the buffer doubles, but not past `limit` unless it must. */
  #append(bytes: Uint8Array, start: number, end: number, limit: number): void {
    const length = this.heldBytes + end - start
    let held = this.#held
    if (held === undefined || held.length < this.#heldStart + length) {
      const doubled = Math.max(length, Math.min(limit, Math.max(length * 2, firstPartialBytes)))
      const grown = new Uint8Array(doubled)
      if (held !== undefined) grown.set(held.subarray(this.#heldStart, this.#heldEnd))
      held = this.#held = grown
      this.#heldEnd -= this.#heldStart
      this.#heldStart = 0
    }
    held.set(bytes.subarray(start, end), this.#heldEnd)
    this.#heldEnd += end - start
  }

  #release(): void {
    this.#held = undefined
    this.#heldStart = 0
    this.#heldEnd = 0
  }
}

/** MQTT 3 does not ask for the shortest form. */
function longLength(cursor: Cursor): void {
  cursor.malformed('Remaining Length is longer than needed (MQTT5 1.5.5-1)')
}

/** Decodes bytes that are one whole packet, as kept in a file or a test. */
export function decodePacket(
  bytes: Uint8Array,
  options: Partial<DecoderOptions> = {},
): Result<Packet, Malformed | { readonly kind: 'incomplete' }> {
  const decoder = new PacketDecoder({ maxPacketBytes, ...options })
  const packets: Packet[] = []
  const outcome = decoder.push(bytes, 0, bytes.length, {
    packet: (packet) => packets.push(packet),
    publish: (view) => packets.push(view.toPublish()),
  })
  const [packet] = packets
  if (outcome.kind === 'malformed') return err(outcome)
  return packet === undefined || packets.length > 1 ? err({ kind: 'incomplete' }) : ok(packet)
}
