import { fork } from 'node:child_process'
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { systemClock } from '../../src/core/clock.ts'
import { addressOf } from '../../src/core/net/address.ts'
import {
  TcpTransport,
  highWaterBytes,
  transportSettings,
} from '../../src/core/net/tcp-transport.ts'

/*
 * What TcpTransport costs or saves: a relay that forwards packets of 88 bytes, once with a `socket.write` for each packet, once over
 * transports. The relay is a process of its own; its CPU time for each packet delivered is what counts.
 *
 *   node bench/micro/transport.ts [rounds]
 */

const packetBytes = 88
const deliveries = 200_000

interface Scenario {
  readonly name: string
  readonly senders: number
  readonly receivers: number
  /** Packets of each sender under way at a time. */
  readonly window: number
}

const scenarios: readonly Scenario[] = [
  { name: '1 to 1, 4096 in flight', senders: 1, receivers: 1, window: 4096 },
  { name: '1 to 1, 1 in flight', senders: 1, receivers: 1, window: 1 },
  { name: '100 to 1, 40 in flight each', senders: 100, receivers: 1, window: 40 },
  { name: '100 to 1, 1 in flight each', senders: 100, receivers: 1, window: 1 },
  { name: '1 to 200, 4 in flight', senders: 1, receivers: 200, window: 4 },
  { name: '1 to 200, 1 in flight', senders: 1, receivers: 200, window: 1 },
  { name: '100 pairs, 1 in flight each', senders: 100, receivers: 100, window: 1 },
]

/** The first byte of a connection says what it is; packets of sender n go to receiver n, or to all. */
async function relay(mode: string): Promise<void> {
  const server = createServer({ noDelay: true, allowHalfOpen: true, highWaterMark: highWaterBytes })
  const receivers: (Socket | TcpTransport)[] = []
  let senders = 0
  const start = (role: number, target: Socket | TcpTransport): number => {
    if (role === 1) receivers.push(target)
    else senders++
    return senders - 1
  }
  const forward = (sender: number, chunk: Buffer, from: number, to: number): void => {
    const isPairs = receivers.length > 1 && senders > 1
    for (let at = from; at + packetBytes <= to; at += packetBytes) {
      for (let i = isPairs ? sender : 0; i < receivers.length; i++) {
        const receiver = receivers[i]
        if (receiver instanceof TcpTransport) receiver.writeCopy(chunk, at, at + packetBytes)
        else receiver?.write(chunk.subarray(at, at + packetBytes))
        if (isPairs) break
      }
    }
  }
  const clock = systemClock()
  const settings = transportSettings(clock)
  server.on('connection', (socket: Socket) => {
    let role = -1
    let sender = 0
    let rest: Buffer = Buffer.alloc(0)
    const take = (target: Socket | TcpTransport, chunk: Buffer): void => {
      let from = 0
      if (role < 0) {
        role = chunk[0] ?? 0
        sender = start(role, target)
        from = 1
      }
      if (rest.length > 0) {
        chunk = Buffer.concat([rest, chunk.subarray(from)])
        from = 0
      }
      const to = chunk.length - ((chunk.length - from) % packetBytes)
      forward(sender, chunk, from, to)
      rest = to === chunk.length ? Buffer.alloc(0) : Buffer.from(chunk.subarray(to))
    }
    if (mode === 'plain') {
      socket.on('data', (chunk: Buffer) => take(socket, chunk))
      socket.on('error', () => socket.destroy())
      socket.on('end', () => socket.end())
      return
    }
    const transport = new TcpTransport(socket, addressOf(socket.remoteAddress, 1), settings)
    transport.attach({ data: (buffer) => take(transport, buffer), closed() {} })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  process.on('message', () => process.send?.(process.cpuUsage()))
  process.send?.((server.address() as AddressInfo).port)
  process.on('disconnect', () => process.exit())
}

async function open(port: number, role: number): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true })
  await once(socket, 'connect')
  socket.write(Buffer.from([role]))
  // The relay has to know one before the next, so that pairs are pairs.
  await new Promise((resolve) => setTimeout(resolve, 1))
  return socket
}

/** CPU microseconds of the relay for each packet delivered. */
async function measure(mode: string, scenario: Scenario): Promise<number> {
  const child = fork(new URL(import.meta.url), [mode])
  const [port] = await once(child, 'message')
  const senders: Socket[] = []
  const receivers: Socket[] = []
  for (let i = 0; i < scenario.receivers; i++) receivers.push(await open(port, 1))
  for (let i = 0; i < scenario.senders; i++) senders.push(await open(port, 2))
  const usage = async (): Promise<number> => {
    child.send('usage')
    const [{ user, system }] = await once(child, 'message')
    return user + system
  }
  const packets = senders.map((_, i) => {
    const packet = Buffer.alloc(packetBytes)
    packet.writeUInt32BE(i)
    return packet
  })
  let delivered = 0
  let target = 0
  const { promise: warm, resolve: warmDone } = Promise.withResolvers<void>()
  const { promise: done, resolve: allDone } = Promise.withResolvers<void>()
  receivers.forEach((socket, index) => {
    let held: Buffer = Buffer.alloc(0)
    const isLast = scenario.senders > 1 || index === receivers.length - 1
    socket.on('data', (chunk: Buffer) => {
      const bytes = held.length === 0 ? chunk : Buffer.concat([held, chunk])
      const credits = new Map<number, number>()
      let at = 0
      for (; at + packetBytes <= bytes.length; at += packetBytes) {
        delivered++
        if (!isLast) continue
        const sender = bytes.readUInt32BE(at)
        credits.set(sender, (credits.get(sender) ?? 0) + 1)
      }
      held = at === bytes.length ? Buffer.alloc(0) : Buffer.from(bytes.subarray(at))
      for (const [sender, count] of credits) send(sender, count)
      if (delivered >= deliveries / 10) warmDone()
      if (target > 0 && delivered >= target) allDone()
    })
  })
  const send = (sender: number, count: number): void => {
    const packet = packets[sender]
    if (packet === undefined) return
    senders[sender]?.write(count === 1 ? packet : Buffer.concat(Array(count).fill(packet)))
  }
  senders.forEach((_, i) => send(i, scenario.window))
  await warm
  const before = await usage()
  const from = delivered
  const count = scenario.window === 1 && scenario.senders === 1 ? deliveries / 10 : deliveries
  target = from + Math.max(count, scenario.receivers * 200)
  await done
  const cost = ((await usage()) - before) / (delivered - from)
  for (const socket of [...senders, ...receivers]) socket.destroy()
  child.disconnect()
  await once(child, 'exit')
  return cost
}

function median(values: readonly number[]): string {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted[sorted.length >> 1] ?? 0
  return `${middle.toFixed(2)} (${(sorted[0] ?? 0).toFixed(2)})`
}

const argument = process.argv[2] ?? '3'
if (process.send !== undefined) {
  await relay(argument)
} else {
  console.log('CPU microseconds for each packet delivered, median (least)')
  for (const scenario of scenarios) {
    const plain: number[] = []
    const transport: number[] = []
    for (let round = 0; round < Number(argument); round++) {
      plain.push(await measure('plain', scenario))
      transport.push(await measure('transport', scenario))
    }
    console.log(`${scenario.name}: plain ${median(plain)}, transport ${median(transport)}`)
  }
}
