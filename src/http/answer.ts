import { STATUS_CODES } from 'node:http'
import type { ServerResponse } from 'node:http'
import { Readable, pipeline } from 'node:stream'
import type { HttpAnswer } from './handler.ts'

/** Larger bodies are written in such pieces, so that a slow reader is seen to make progress. */
const pieceBytes = 64 * 1024

/** A short answer in words, for people. */
export function textAnswer(status: number, text: string = STATUS_CODES[status] ?? ''): HttpAnswer {
  return {
    status,
    headers: { 'content-type': 'text/plain; charset=utf-8' },
    body: `${text}\n`,
  }
}

export interface SendSettings {
  readonly isHead: boolean
  /** Replace headers of the same name. */
  readonly customHeaders: ReadonlyMap<string, string>
  readonly closeAfter: boolean
}

/**
 * Writes an answer. Throws, before anything has left, for headers that HTTP does not allow: a line break in one would let
 * whoever wrote it write a whole answer.
 */
export function sendAnswer(
  response: ServerResponse,
  answer: HttpAnswer,
  settings: SendSettings,
): void {
  const { body } = answer
  response.statusCode = answer.status
  for (const [name, value] of Object.entries(answer.headers ?? {})) {
    if (value !== undefined) response.setHeader(name, value)
  }
  for (const [name, value] of settings.customHeaders) response.setHeader(name, value)
  if (settings.closeAfter) response.setHeader('Connection', 'close')
  // RFC 9110 §15.3.5, §15.4.5
  const hasBody = answer.status !== 204 && answer.status !== 304
  if (body instanceof Readable) {
    if (!hasBody || settings.isHead) {
      body.destroy()
      response.end()
    } else {
      stream(body, response)
    }
    return
  }
  // What a GET would get may be told without being there.
  if (settings.isHead && body === undefined) {
    response.end()
    return
  }
  const bytes = typeof body === 'string' ? Buffer.from(body) : (body ?? Buffer.alloc(0))
  if (hasBody) response.setHeader('Content-Length', bytes.length)
  if (!hasBody || settings.isHead) response.end()
  else if (bytes.length <= pieceBytes) response.end(bytes)
  else stream(Readable.from(piecesOf(bytes)), response)
}

function* piecesOf(bytes: Uint8Array): Generator<Uint8Array> {
  for (let i = 0; i < bytes.length; i += pieceBytes) yield bytes.subarray(i, i + pieceBytes)
}

function stream(body: Readable, response: ServerResponse): void {
  pipeline(body, response, (error) => {
    // An answer that breaks off must not look like a whole one.
    if (error) response.destroy()
  })
}
