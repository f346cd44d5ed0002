import type { HandlerContext, RequestHandler } from './handler.ts'
import type { HttpOptions } from './options.ts'
import { pathSegments } from './target.ts'

/** A handler where it is mounted. */
export interface Route {
  readonly segments: readonly string[]
  readonly handler: RequestHandler
  readonly context: HandlerContext
}

/** The routes of a listener in the order of its file. Throws for what cannot be a route. */
export function createRoutes(
  options: HttpOptions,
  handlers: ReadonlyMap<string, RequestHandler>,
  context: Omit<HandlerContext, 'options' | 'prefix'>,
): readonly Route[] {
  return [...options.request_handlers].map(([prefix, name]) => {
    const segments = pathSegments(prefix)
    const handler = handlers.get(name)
    if (segments === undefined) throw new Error(`"${prefix}" in request_handlers is not a path`)
    if (handler === undefined) throw new Error(`There is no request handler "${name}"`)
    return { segments, handler, context: { ...context, options, prefix } }
  })
}

/** The first route whose prefix matches, segment by segment: `/ws` is no prefix of `/wsx`. */
export function findRoute(
  routes: readonly Route[],
  segments: readonly string[],
): Route | undefined {
  return routes.find((route) => route.segments.every((segment, i) => segments[i] === segment))
}
