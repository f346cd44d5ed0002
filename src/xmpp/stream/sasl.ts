import { decodeSaslText } from '../../auth/sasl/base64.ts'
import { failure } from '../../auth/sasl/mechanism.ts'
import type { SaslFailure, SaslStep, SaslSuccess } from '../../auth/sasl/mechanism.ts'
import type { SaslExchange } from '../../auth/sasl/exchange.ts'
import { xml } from '../xml/element.ts'
import type { Element } from '../xml/element.ts'
import { saslNs } from './features.ts'

/** What to send, and what has come of it. */
export interface SaslReply {
  readonly element: Element
  readonly outcome: SaslSuccess | SaslFailure | undefined
}

/** RFC 6120 §6.4.5: how often a client may fail on one stream. */
export const maxSaslFailures = 5

/**
 * The server's side of SASL on a stream (RFC 6120 §6): turns its elements into steps of an exchange. One element at a time:
 * the next comes when the promise has settled.
 */
export class SaslNegotiation {
  readonly #begin: (mechanism: string) => SaslExchange
  #exchange: SaslExchange | undefined
  failures = 0

  constructor(begin: (mechanism: string) => SaslExchange) {
    this.#begin = begin
  }

  /** Undefined: the element has no meaning here. */
  async receive(element: Element): Promise<SaslReply | undefined> {
    switch (element.name) {
      case 'auth':
        return this.#reply(await this.#auth(element))
      case 'response':
        return this.#reply(await this.#response(element))
      case 'abort':
        return this.#reply(this.#exchange?.abort() ?? failure('aborted'))
      default:
        return undefined
    }
  }

  async #auth(element: Element): Promise<SaslStep> {
    // RFC 6120 §6.4.2: a new attempt begins only when the one before is over.
    if (this.#exchange !== undefined && !this.#exchange.isOver) {
      this.#exchange.abort()
      return failure('malformed-request')
    }
    const mechanism = element.attr('mechanism')
    if (mechanism === undefined) return failure('malformed-request')
    const text = element.text()
    const initial = text === '' ? undefined : decodeSaslText(text)
    if (text !== '' && initial === undefined) return failure('incorrect-encoding')
    this.#exchange = this.#begin(mechanism)
    return this.#exchange.start(initial)
  }

  async #response(element: Element): Promise<SaslStep> {
    const exchange = this.#exchange
    if (exchange === undefined || exchange.isOver) return failure('malformed-request')
    const response = decodeSaslText(element.text())
    if (response === undefined) {
      exchange.abort()
      return failure('incorrect-encoding')
    }
    return exchange.next(response)
  }

  #reply(step: SaslStep): SaslReply {
    switch (step.kind) {
      case 'challenge':
        return { element: xml('challenge', saslNs, {}, encode(step.data)), outcome: undefined }
      case 'success': {
        const text = step.data === undefined ? undefined : encode(step.data)
        return { element: xml('success', saslNs, {}, text), outcome: step }
      }
      case 'failure':
        this.failures++
        return { element: saslFailure(step), outcome: step }
    }
  }
}

/** RFC 6120 §6.5 */
export function saslFailure({ condition, text }: SaslFailure): Element {
  const words = text === '' ? undefined : xml('text', saslNs, { 'xml:lang': 'en' }, text)
  return xml('failure', saslNs, {}, xml(condition, saslNs), words)
}

/** RFC 6120 §6.4.2: `=` stands for data of no length. */
function encode(data: Uint8Array): string {
  return data.length === 0 ? '=' : Buffer.from(data).toString('base64')
}
