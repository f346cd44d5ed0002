import type { CommandValue, Field } from '../../core/command.ts'
import { CommandError } from '../../core/command.ts'
import type { PropertiesOf, UserProperty } from '../packet/properties.ts'
import { parseTopicName } from '../topic.ts'

/*
 * Properties of messages as commands take and tell them, under the names of the specification. A user property is
 * `user_property` with the value `NAME=VALUE`, as often as there are any; correlation data is Base64.
 */

export const properties: Field = {
  name: 'properties',
  type: {
    list: {
      name: 'property',
      type: {
        tuple: [
          { name: 'name', type: 'binary' },
          { name: 'value', type: 'binary' },
        ],
      },
    },
  },
}

type Properties = PropertiesOf<'publish'>

export function propertiesOf(value: CommandValue | undefined): Properties {
  const list = Array.isArray(value) ? value : []
  let found: Properties = {}
  const userProperties: UserProperty[] = []
  for (const pair of list) {
    const [name, text] = Array.isArray(pair) ? pair.map(String) : []
    if (name === undefined || text === undefined) continue
    if (name === 'user_property') userProperties.push(userPropertyOf(text))
    else found = { ...found, ...propertyOf(name, text) }
  }
  return userProperties.length === 0 ? found : { ...found, userProperties }
}

function propertyOf(name: string, value: string): Properties {
  switch (name) {
    case 'payload_format_indicator':
      if (value !== '0' && value !== '1') throw wrong(name, 'must be 0 or 1')
      return { payloadFormatIndicator: value === '1' ? 1 : 0 }
    case 'message_expiry_interval': {
      const seconds = Number(value)
      if (!/^\d{1,10}$/.test(value) || seconds > maxExpirySeconds) {
        throw wrong(name, 'must be a number of seconds')
      }
      return { messageExpiryInterval: seconds }
    }
    case 'content_type':
      return { contentType: checkText(name, value) }
    case 'response_topic': {
      const topic = parseTopicName(value)
      if (!topic.ok) throw wrong(name, 'must be a topic name')
      return { responseTopic: topic.value }
    }
    case 'correlation_data': {
      const bytes = decodeBase64(value)
      if (bytes === undefined || bytes.length > maxTextBytes) throw wrong(name, 'must be Base64')
      return { correlationData: bytes }
    }
    default:
      throw new CommandError('error', `There is no property "${name}" of messages`)
  }
}

const maxExpirySeconds = 0xffff_ffff
/** What a length of two bytes can tell. */
const maxTextBytes = 65_535

function userPropertyOf(text: string): UserProperty {
  const at = text.indexOf('=')
  if (at < 0) throw wrong('user_property', 'must be NAME=VALUE')
  checkText('user_property', text)
  return [text.slice(0, at), text.slice(at + 1)]
}

/** MQTT5 1.5.4. */
function checkText(name: string, text: string): string {
  const isText = text.isWellFormed() && !text.includes('\0')
  if (!isText || Buffer.byteLength(text) > maxTextBytes) {
    throw wrong(name, 'must be text of 65535 bytes at most')
  }
  return text
}

function wrong(name: string, must: string): CommandError {
  return new CommandError('error', `The property "${name}" ${must}`)
}

/** Undefined when it is none. */
export function decodeBase64(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64')
  return bytes.toString('base64') === text ? bytes : undefined
}

export function listProperties(own: Properties): CommandValue {
  const pairs: [string, string][] = []
  if (own.payloadFormatIndicator !== undefined) {
    pairs.push(['payload_format_indicator', `${own.payloadFormatIndicator}`])
  }
  if (own.messageExpiryInterval !== undefined) {
    pairs.push(['message_expiry_interval', `${own.messageExpiryInterval}`])
  }
  if (own.contentType !== undefined) pairs.push(['content_type', own.contentType])
  if (own.responseTopic !== undefined) pairs.push(['response_topic', own.responseTopic])
  if (own.correlationData !== undefined) {
    pairs.push(['correlation_data', Buffer.from(own.correlationData).toString('base64')])
  }
  for (const [name, value] of own.userProperties ?? []) {
    pairs.push(['user_property', `${name}=${value}`])
  }
  return pairs
}
