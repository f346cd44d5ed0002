import type { IncomingMessage } from 'node:http'
import type { Clock } from '../core/clock.ts'
import { err, ok } from '../util/result.ts'
import type { Result } from '../util/result.ts'
import type { BodyError } from './handler.ts'

/** Reads a whole body. What is too large is not read any further. */
export function readBody(
  request: IncomingMessage,
  limits: { readonly maxBytes: number; readonly timeoutMs: number },
  clock: Clock,
): Promise<Result<Buffer, BodyError>> {
  if (Number(request.headers['content-length'] ?? 0) > limits.maxBytes) {
    return Promise.resolve(err('too-large'))
  }
  return new Promise((resolve) => {
    const chunks: Buffer[] = []
    let length = 0
    const settle = (result: Result<Buffer, BodyError>): void => {
      timer.cancel()
      request.off('data', onData).off('end', onEnd).off('close', onClose)
      if (!result.ok) request.pause()
      resolve(result)
    }
    const onData = (chunk: Buffer): void => {
      length += chunk.length
      if (length > limits.maxBytes) settle(err('too-large'))
      else chunks.push(chunk)
    }
    const onEnd = (): void => settle(ok(Buffer.concat(chunks, length)))
    const onClose = (): void => settle(err('closed'))
    const timer = clock.after(limits.timeoutMs, () => settle(err('timeout')))
    if (request.destroyed) {
      settle(err('closed'))
      return
    }
    request.on('data', onData).on('end', onEnd).on('close', onClose)
  })
}

/** Ends a body with an error when nothing of it came for that long. */
export function limitPauses(request: IncomingMessage, pauseMs: number, clock: Clock): void {
  const { socket } = request
  let seenBytes = socket.bytesRead
  const timer = clock.every(pauseMs, () => {
    const isStalled = socket.bytesRead === seenBytes && !request.complete
    seenBytes = socket.bytesRead
    if (isStalled) request.destroy(new Error('The client stopped sending'))
  })
  const stop = (): void => timer.cancel()
  request.once('end', stop).once('close', stop)
}
