import { textAnswer } from './answer.ts'
import { defineRequestHandler } from './handler.ts'
import type { RequestHandler } from './handler.ts'
import { processFigures } from './process-figures.ts'

/** The server's figures for Prometheus, in its text format 0.0.4. Whoever reaches the port may read them. */
export const metricsHandler: RequestHandler = defineRequestHandler({
  name: 'linnet_metrics',
  handle(request, { metrics }) {
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      return { ...textAnswer(405), headers: { allow: 'GET, HEAD' } }
    }
    if (request.segments.length > 0) return textAnswer(404)
    return {
      status: 200,
      headers: {
        'content-type': 'text/plain; version=0.0.4; charset=utf-8',
        'cache-control': 'no-store',
      },
      body: metrics.render() + processFigures(),
    }
  },
})
