/** Pieces up to this size are copied together; larger ones are kept by reference. */
const copyLimit = 4096
/** A tail is moved into a larger one when it is full, until it has this size. */
const growLimit = 32 * 1024
const leastTail = 512

/**
 * What one connection has to write, in order. Holds no buffer while it is empty, a single buffer as it was given, and
 * small pieces copied together, so that most batches leave as one piece.
 */
export class WriteBatch {
  /** The sum of all that is in it. */
  bytes = 0
  /** The only piece so far, not ours to write into. */
  #only: Uint8Array | undefined
  /** Complete pieces, which come before the tail. */
  #pieces: Uint8Array[] | undefined
  /** Our own, filled up to `#used`. */
  #tail: Buffer | undefined
  #used = 0
  /** What the tail held when it left last: its next size, since a turn is often like the one before. */
  #hint = 0

  /** Adds bytes that nobody changes any more. */
  add(piece: Uint8Array): void {
    const length = piece.length
    if (length === 0) return
    if (this.bytes === 0) this.#only = piece
    else if (length <= copyLimit) this.#append(piece, 0, length)
    else {
      this.#closeTail()
      this.#push(piece)
    }
    this.bytes += length
  }

  /** Adds a copy of a range. */
  addCopy(source: Uint8Array, start: number, end: number): void {
    if (end <= start) return
    this.#append(source, start, end)
    this.bytes += end - start
  }

  addText(text: string): void {
    if (text === '') return
    if (this.bytes === 0 && this.#hint <= text.length) {
      this.add(Buffer.from(text))
      return
    }
    // A UTF-16 unit takes three bytes at most; measuring is only needed when that might not fit.
    let tail = this.#tail
    const most = text.length * 3
    if (tail === undefined || tail.length - this.#used < most) {
      const length = most <= copyLimit ? most : Buffer.byteLength(text)
      tail = this.#room(length)
    }
    const written = tail.write(text, this.#used)
    this.#used += written
    this.bytes += written
  }

  /** Takes everything if it is one piece of no more than `limit`; undefined otherwise, then `take` it. */
  takeWhole(limit: number): Uint8Array | undefined {
    if (this.#pieces !== undefined || this.bytes > limit) return undefined
    const whole = this.#only ?? this.#takeTail()
    this.#only = undefined
    this.bytes = 0
    return whole
  }

  /** Takes the first `limit` bytes, or all. */
  take(limit: number): Uint8Array[] {
    this.#closeTail()
    const pieces = this.#pieces ?? []
    const taken: Uint8Array[] = []
    let room = Math.min(limit, this.bytes)
    this.bytes -= room
    let i = 0
    for (; i < pieces.length && room > 0; i++) {
      const piece = pieces[i]
      if (piece === undefined || piece.length > room) break
      taken.push(piece)
      room -= piece.length
    }
    const rest = pieces.slice(i)
    const split = rest[0]
    if (split !== undefined && room > 0) {
      taken.push(split.subarray(0, room))
      rest[0] = split.subarray(room)
    }
    this.#pieces = rest.length === 0 ? undefined : rest
    return taken
  }

  clear(): void {
    this.bytes = 0
    this.#only = undefined
    this.#pieces = undefined
    this.#tail = undefined
    this.#used = 0
  }

  #append(source: Uint8Array, start: number, end: number): void {
    const length = end - start
    const tail = this.#room(length)
    const used = this.#used
    if (length <= 24) for (let i = 0; i < length; i++) tail[used + i] = source[start + i] ?? 0
    else tail.set(source.subarray(start, end), used)
    this.#used = used + length
  }

  /** The tail with that much room behind `#used`, after all that came before. */
  #room(length: number): Buffer {
    if (this.#only !== undefined) {
      const only = this.#only
      this.#only = undefined
      if (only.length > copyLimit) this.#push(only)
      else this.#append(only, 0, only.length)
    }
    const old = this.#tail
    if (old !== undefined && old.length - this.#used >= length) return old
    let tail: Buffer
    if (old === undefined) {
      tail = Buffer.allocUnsafe(Math.max(length, this.#hint))
    } else if (this.#used + length <= growLimit) {
      tail = Buffer.allocUnsafe(Math.max(leastTail, old.length * 2, this.#used + length))
      tail.set(old.subarray(0, this.#used))
      this.#tail = tail
      return tail
    } else {
      this.#closeTail()
      tail = Buffer.allocUnsafe(Math.max(length, growLimit))
    }
    this.#tail = tail
    this.#used = 0
    return tail
  }

  #closeTail(): void {
    const whole = this.#only ?? this.#takeTail()
    this.#only = undefined
    if (whole !== undefined) this.#push(whole)
  }

  #push(piece: Uint8Array): void {
    if (this.#pieces === undefined) this.#pieces = [piece]
    else this.#pieces.push(piece)
  }

  #takeTail(): Buffer | undefined {
    const tail = this.#tail
    if (tail === undefined) return undefined
    this.#hint = Math.min(this.#used, growLimit)
    const filled = this.#used === tail.length ? tail : tail.subarray(0, this.#used)
    this.#tail = undefined
    this.#used = 0
    return filled
  }
}
