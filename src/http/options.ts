import { validateHeaderName, validateHeaderValue } from 'node:http'
import { requestHandlersOption, tlsListenerOptions } from '../core/config/listener-options.ts'
import { accepted, flag, notYet, option, t, text } from '../core/options.ts'
import { invalid } from '../core/options/type.ts'
import type { Type } from '../core/options/type.ts'
import type { OptionMap, ValuesOf } from '../core/options.ts'

/** These say where a message ends and what becomes of the connection, which is not the configuration's to say. */
const framingHeaders = new Set([
  'connection',
  'content-length',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
])

const writtenHeaders = t.map(t.textWith({ nonEmpty: true }), t.text)

const headersType: Type<ReadonlyMap<string, string>> = {
  ...writtenHeaders,
  parse(node, ctx) {
    const headers = writtenHeaders.parse(node, ctx)
    if (headers === invalid) return invalid
    for (const [name, value] of headers) {
      const problem = headerProblem(name, value)
      if (problem === undefined) continue
      ctx.report(node.at, problem)
      return invalid
    }
    return headers
  },
}

function headerProblem(name: string, value: string): string | undefined {
  if (framingHeaders.has(name.toLowerCase())) return `the header "${name}" cannot be set`
  try {
    validateHeaderName(name)
    validateHeaderValue(name, value)
  } catch (error) {
    if (!(error instanceof TypeError)) throw error
    return `the header "${name}" has a name or a value that HTTP does not allow`
  }
  return undefined
}

export const httpOptions = {
  ...tlsListenerOptions,
  cafile: accepted(tlsListenerOptions.cafile, 'certificates of clients are not asked for'),
  request_handlers: requestHandlersOption,
  tag: notYet(text('', 'Name under which api_permissions knows requests of this listener.')),
  custom_headers: option(headersType, {}, 'Headers that every answer has.'),
  allow_unencrypted_sasl2: notYet(flag(false, 'Whether SASL2 is offered on streams without TLS.')),
} satisfies OptionMap

export type HttpOptions = ValuesOf<typeof httpOptions>
