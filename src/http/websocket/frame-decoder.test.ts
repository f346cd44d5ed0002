import assert from 'node:assert/strict'
import { randomInt } from 'node:crypto'
import { test } from 'node:test'
import { FrameDecoder } from './frame-decoder.ts'
import type { FrameSink } from './frame-decoder.ts'
import type { ControlOpcode } from './frame.ts'
import { clientFrame } from './test-support.ts'
import { unmask } from './unmask.ts'

/** Notes what a decoder says, as text. */
class Notes implements FrameSink {
  readonly lines: string[] = []
  #message: Buffer[] = []

  piece(buffer: Buffer, start: number, end: number, isLast: boolean): void {
    this.#message.push(Buffer.from(buffer.subarray(start, end)))
    if (!isLast) return
    this.lines.push(`message ${Buffer.concat(this.#message).toString('latin1')}`)
    this.#message = []
  }

  control(opcode: ControlOpcode, payload: Buffer): void {
    this.lines.push(`control ${opcode} ${payload.toString('latin1')}`)
  }

  refused(code: number, why: string): void {
    this.lines.push(`refused ${code} ${why}`)
  }
}

function decode(bytes: Buffer, step: number, limit = Infinity): readonly string[] {
  const notes = new Notes()
  const decoder = new FrameDecoder('text', limit)
  for (let i = 0; i < bytes.length; i += step) {
    // A buffer of its own each time, spoilt afterwards, as read buffers are.
    const chunk = Buffer.from(bytes.subarray(i, i + step))
    decoder.push(notes, chunk, 0, chunk.length)
    chunk.fill(0xdb)
  }
  return notes.lines
}

const rows: readonly { name: string; bytes: Buffer; lines: readonly string[]; limit?: number }[] = [
  {
    name: 'a masked text message (RFC 6455 §5.7)',
    bytes: Buffer.from('818537fa213d7f9f4d5158', 'hex'),
    lines: ['message Hello'],
  },
  {
    name: 'an empty message',
    bytes: clientFrame(1, ''),
    lines: ['message '],
  },
  {
    name: 'lengths of each form (RFC 6455 §5.2)',
    bytes: Buffer.concat([125, 126, 0xffff, 0x1_0000].map((n) => clientFrame(1, 'x'.repeat(n)))),
    lines: [125, 126, 0xffff, 0x1_0000].map((n) => `message ${'x'.repeat(n)}`),
  },
  {
    name: 'fragments with control frames in between (RFC 6455 §5.4)',
    bytes: Buffer.concat([
      clientFrame(1, 'one ', { isFinal: false }),
      clientFrame(9, 'ping'),
      clientFrame(0, '', { isFinal: false }),
      clientFrame(0, 'two ', { isFinal: false }),
      clientFrame(10, ''),
      clientFrame(0, 'three'),
      clientFrame(8, '\x03\xe8bye'),
    ]),
    lines: ['control 9 ping', 'control 10 ', 'message one two three', 'control 8 \x03\xe8bye'],
  },
  {
    name: 'a message that ends with an empty fragment',
    bytes: Buffer.concat([clientFrame(1, 'all', { isFinal: false }), clientFrame(0, '')]),
    lines: ['message all'],
  },
  {
    name: 'a message as big as allowed',
    bytes: Buffer.concat([clientFrame(1, '12', { isFinal: false }), clientFrame(0, '34')]),
    limit: 4,
    lines: ['message 1234'],
  },
  {
    name: 'a message whose fragments are too big together',
    bytes: Buffer.concat([clientFrame(1, '12', { isFinal: false }), clientFrame(0, '345')]),
    limit: 4,
    lines: ['refused 1009 the message is too big'],
  },
  {
    name: 'a length beyond counting',
    bytes: Buffer.from('81ff7fffff0000000000', 'hex'),
    lines: ['refused 1009 the message is too big'],
  },
  {
    name: 'a length with its first bit set',
    bytes: Buffer.from('81ff8000000000000000', 'hex'),
    lines: ['refused 1002 a length has its first bit set'],
  },
  {
    name: 'a short length in two bytes',
    bytes: Buffer.from('81fe007d', 'hex'),
    lines: ['refused 1002 a length is not in its shortest form'],
  },
  {
    name: 'a middle length in eight bytes',
    bytes: Buffer.from('81ff000000000000ffff', 'hex'),
    lines: ['refused 1002 a length is not in its shortest form'],
  },
  {
    name: 'a frame without mask (RFC 6455 §5.1)',
    bytes: Buffer.from('810548656c6c6f', 'hex'),
    lines: ['refused 1002 frames of clients have to be masked'],
  },
  ...[0x40, 0x20, 0x10].map((bit) => ({
    name: `reserved bit ${bit}`,
    bytes: Buffer.from([0x81 | bit, 0x80, 0, 0, 0, 0]),
    lines: ['refused 1002 reserved bits are set'],
  })),
  ...[3, 4, 5, 6, 7, 11, 12, 13, 14, 15].map((opcode) => ({
    name: `reserved opcode ${opcode}`,
    bytes: clientFrame(opcode, ''),
    lines: ['refused 1002 unknown kind of frame'],
  })),
  {
    name: 'a fragmented ping (RFC 6455 §5.5)',
    bytes: clientFrame(9, '', { isFinal: false }),
    lines: ['refused 1002 a control frame is fragmented'],
  },
  {
    name: 'a ping of 126 bytes',
    bytes: clientFrame(9, 'x'.repeat(126)),
    lines: ['refused 1002 a control frame is too long'],
  },
  {
    name: 'a continuation of nothing',
    bytes: clientFrame(0, 'x'),
    lines: ['refused 1002 nothing to continue'],
  },
  {
    name: 'a message within a message',
    bytes: Buffer.concat([clientFrame(1, 'a', { isFinal: false }), clientFrame(1, 'b')]),
    lines: ['refused 1002 the message before has no end'],
  },
  {
    name: 'a message of the other kind',
    bytes: clientFrame(2, 'x'),
    lines: ['refused 1003 binary is not expected here'],
  },
]

for (const { name, bytes, lines, limit } of rows) {
  test(`reads ${name}`, () => {
    assert.deepEqual(decode(bytes, bytes.length, limit), lines)
    assert.deepEqual(decode(bytes, 7, limit), lines)
    if (bytes.length < 1000) assert.deepEqual(decode(bytes, 1, limit), lines)
  })
}

test('hears nothing after a refusal or a stop', () => {
  const notes = new Notes()
  const decoder = new FrameDecoder('text', 100)
  const bad = Buffer.concat([clientFrame(3, ''), clientFrame(1, 'late')])
  decoder.push(notes, bad, 0, bad.length)
  decoder.push(notes, bad, 0, bad.length)
  assert.equal(notes.lines.length, 1)

  const stopping = new FrameDecoder('text', 100)
  const heard: string[] = []
  const sink: FrameSink = {
    piece(buffer, start, end) {
      heard.push(buffer.toString('latin1', start, end))
      stopping.stop()
    },
    control() {},
    refused() {},
  }
  const two = Buffer.concat([clientFrame(1, 'first'), clientFrame(1, 'second')])
  stopping.push(sink, two, 0, two.length)
  assert.deepEqual(heard, ['first'])
})

test('unmasks by words as by bytes, wherever it starts', () => {
  const key = 0x9a3b_5cf1 | 0
  for (const length of [0, 1, 5, 127, 128, 131, 1000]) {
    for (let place = 0; place < 5; place++) {
      for (let offset = 0; offset < 5; offset++) {
        const buffer = Buffer.alloc(length + 8, 0x55)
        const expected = Buffer.from(buffer)
        for (let i = 0; i < length; i++) {
          const byte = (key >>> (24 - 8 * ((offset + i) & 3))) & 0xff
          expected[place + i] = 0x55 ^ byte
        }
        unmask(buffer, place, place + length, key, offset)
        assert.deepEqual(buffer, expected)
      }
    }
  }
})

test('never throws or stalls whatever comes, and reads it the same in any pieces', (t) => {
  const seed = Number(process.env['FUZZ_SEED'] ?? randomInt(0x7fff_ffff))
  t.diagnostic(`FUZZ_SEED=${seed}`)
  const random = generator(seed)
  const pick = (below: number): number => Math.floor(random() * below)
  for (let round = 0; round < 2000; round++) {
    const frames: Buffer[] = []
    for (let n = pick(5); n >= 0; n--) {
      const opcode = [0, 1, 1, 1, 8, 9, 10, pick(16)][pick(8)] ?? 0
      const payload = 'x'.repeat([0, 1, 4, 125, 126, 300][pick(6)] ?? 0)
      frames.push(clientFrame(opcode, payload, { isFinal: pick(4) > 0, mask: pick(2 ** 32) }))
    }
    const bytes = Buffer.concat(frames)
    // Spoils some headers.
    if (pick(2) === 0) bytes[pick(bytes.length)] = pick(256)
    const whole = decode(bytes, bytes.length, 1000)
    assert.deepEqual(decode(bytes, 1 + pick(9), 1000), whole, `round ${round} of ${seed}`)
  }
})

/** Mulberry32: small, and the same everywhere. */
function generator(seed: number): () => number {
  let state = seed | 0
  return () => {
    state = (state + 0x6d2b_79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000
  }
}
