import { domainpart, localpart, resourcepart } from '../xmpp/jid/jid.ts'
import type { Broker } from './broker.ts'
import type { Publisher } from './hooks.ts'
import { levelCount, parseTopicFilter, parseTopicName } from './topic.ts'

/**
 * Below which topic a client may have answers sent to it (MQTT5 4.10.1): `response_information` with the client's own names in
 * place of `%u`, `%d` and `%c`. Undefined where it could not subscribe there.
 */
export function responseInformation(broker: Broker, client: Publisher): string | undefined {
  const { authorization, settings } = broker
  if (settings.responseInformation === '') return undefined
  const names: Readonly<Record<string, string>> = {
    '%u': localpart(client.jid),
    '%d': domainpart(client.jid),
    '%c': resourcepart(client.jid),
  }
  const text = settings.responseInformation.replaceAll(/%[udc]/g, (name) => names[name] ?? name)
  // A client identifier may hold what a topic may not.
  if (!parseTopicName(text).ok) return undefined
  const below = parseTopicFilter(`${text}/#`)
  if (!below.ok || levelCount(below.value) > settings.maxTopicDepth) return undefined
  return authorization.subscribing(below.value, client).qos < 0 ? undefined : text
}
