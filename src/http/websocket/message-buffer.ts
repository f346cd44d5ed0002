const leastBytes = 1024

/** Gathers the fragments of one message, copying each; grows by doubling, so that tiny fragments cost no more than their bytes. */
export class MessageBuffer {
  bytes: Buffer = Buffer.alloc(0)
  length = 0

  add(source: Buffer, start: number, end: number): void {
    const length = this.length + end - start
    if (length > this.bytes.length) {
      const grown = Buffer.allocUnsafe(Math.max(leastBytes, this.bytes.length * 2, length))
      this.bytes.copy(grown, 0, 0, this.length)
      this.bytes = grown
    }
    source.copy(this.bytes, this.length, start, end)
    this.length = length
  }
}
