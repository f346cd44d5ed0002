import { defineService } from '../core/service.ts'
import type { ServiceToken } from '../core/service.ts'
import { textAnswer } from './answer.ts'
import { defineRequestHandler } from './handler.ts'
import type { HttpAnswer, RequestHandler } from './handler.ts'

/** Whether clients should be sent here. */
export interface Readiness {
  /** Why not, in words that an operator understands; empty when the server is ready. */
  readonly reasons: readonly string[]
}

/** Provided by the server; as long as it is not, the server counts as starting. */
export const readiness: ServiceToken<Readiness> = defineService<Readiness>('http.readiness')

/**
 * For load balancers and supervisors, by the end of the path: `healthz` says that the process answers, `readyz` whether
 * clients should be sent here (503 with the reasons if not).
 */
export const healthHandler: RequestHandler = defineRequestHandler({
  name: 'linnet_health',
  handle(request, { services }) {
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      return { ...textAnswer(405), headers: { allow: 'GET, HEAD' } }
    }
    if (/\/healthz\/?$/.test(request.path)) return json(200, { status: 'alive' })
    if (!/\/readyz\/?$/.test(request.path)) return textAnswer(404)
    const reasons = services.find(readiness)?.reasons ?? ['The server is starting']
    if (reasons.length === 0) return json(200, { status: 'ready' })
    return json(503, { status: 'not ready', reasons })
  },
})

function json(status: number, value: unknown): HttpAnswer {
  return {
    status,
    headers: { 'content-type': 'application/json', 'cache-control': 'no-store' },
    body: `${JSON.stringify(value)}\n`,
  }
}
