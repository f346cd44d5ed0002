import { reportRepeats } from '../../core/options/container-types.ts'
import type { ParseContext } from '../../core/options/context.ts'
import { entryOf } from '../../core/options/node.ts'
import type { MapEntry } from '../../core/options/node.ts'
import { invalid, scalarType } from '../../core/options/type.ts'
import type { Invalid, Type } from '../../core/options/type.ts'
import {
  duration,
  flag,
  integer,
  list,
  map,
  option,
  optional,
  pem,
  record,
  required,
  secret,
  size,
  t,
  text,
} from '../../core/options.ts'
import type { ValuesOf } from '../../core/options.ts'
import { authorityOf, endpointSchemes, parseEndpoint } from '../../mqtt/bridge/endpoint.ts'
import type { Endpoint, EndpointFault } from '../../mqtt/bridge/endpoint.ts'
import { createRule, parseRule } from '../../mqtt/bridge/rule.ts'
import type { BridgeRule } from '../../mqtt/bridge/rule.ts'
import type { BridgeSettings } from '../../mqtt/bridge/settings.ts'
import type { QoS } from '../../mqtt/packet/packet-type.ts'
import { maxPacketBytes } from '../../mqtt/packet/size.ts'
import { neverExpires } from '../../mqtt/session.ts'
import { parseTopicName } from '../../mqtt/topic.ts'
import type { TopicName } from '../../mqtt/topic.ts'

const topicNameType: Type<TopicName> = scalarType(
  'an MQTT topic without wildcards',
  { type: 'string', minLength: 1 },
  (written) => {
    const topic = parseTopicName(written)
    return topic.ok ? topic.value : undefined
  },
)

/** In mosquitto's words, or as a map. */
const ruleType: Type<BridgeRule> = {
  name: 'a rule ("home/# both 1", or a map)',
  takes: ['scalar', 'map'],
  parse(node, ctx) {
    let rule: ReturnType<typeof createRule>
    if (node.kind === 'scalar') rule = parseRule(node.text)
    else {
      const values = ruleMapType.parse(node, ctx)
      if (values === invalid) return invalid
      rule = createRule({
        filter: values.filter,
        direction: values.direction,
        qos: qosOf(values.qos),
        localPrefix: values.local_prefix,
        remotePrefix: values.remote_prefix,
      })
    }
    if (rule.ok) return rule.value
    ctx.report(node.at, rule.error)
    return invalid
  },
  schema: () => ({ anyOf: [{ type: 'string', minLength: 1 }, ruleMapType.schema()] }),
}

const highestQoS = { min: 0, max: 2 }

const ruleMapType = t.record({
  filter: text(required, 'Topics, after the prefixes; "" where these are whole topics.'),
  direction: option(
    t.choice(['out', 'in', 'both']),
    'out',
    'Whether messages go to the other broker, come from there, or both.',
  ),
  qos: integer(highestQoS, 2, 'The highest QoS of what is handed on.'),
  local_prefix: text('', 'What stands before the filter here.'),
  remote_prefix: text('', 'What stands before the filter on the other broker.'),
})

/** What may be set for one broker. */
export const serverOptions = {
  name: text(optional, 'Names the bridge; host and port unless given.', {
    pattern: /^[^\s/+#$]{1,64}$/,
    name: 'a name without spaces, "/", "+", "#" and "$", of 64 characters at most',
  }),
  publish: map(
    topicNameType,
    topicNameType,
    {},
    'Topics here, and what they are called on the other broker, to which their messages go.',
  ),
  subscribe: map(
    topicNameType,
    topicNameType,
    {},
    'Topics of the other broker, and what they are called here, where their messages are kept.',
  ),
  qos: integer(highestQoS, 2, 'The highest QoS of messages by publish and subscribe.'),
  topics: list(
    ruleType,
    [],
    'Rules with wildcards, directions and prefixes; the first that selects a topic counts.',
  ),
  authentication: record(
    {
      username: text(optional, 'Who we are there.'),
      password: secret(text(optional, 'The password.')),
      certfile: pem(optional, 'Our certificate, with TLS.'),
      keyfile: pem(optional, 'Its private key, unless certfile has it.'),
    },
    {},
    'How we prove who we are.',
  ),
  cafile: pem(optional, "Authorities of the other broker's certificate; ca_file unless given."),
  tls_verify: flag(true, "Whether the other broker's certificate has to be valid."),
  tls_server_name: text(optional, 'The name in its certificate, if not that in the URL.', {
    nonEmpty: true,
  }),
  client_id: text(optional, 'Client identifier there; one of its own that stays unless given.', {
    nonEmpty: true,
  }),
  clean_start: flag(
    false,
    'Whether the other broker forgets us, and what it has for us, with each connection.',
  ),
  session_expiry: duration(
    'infinity',
    'How long the other broker is to remember us after a connection (MQTT 5).',
    { orInfinity: true },
  ),
  keep_alive: duration('1 minute', 'Keep alive of the connection; 0 = none.', { orZero: true }),
  status_topic: option(
    topicNameType,
    optional,
    'Topic on the other broker that has 1 while the bridge is up, and 0 otherwise.',
  ),
  try_private: flag(
    true,
    'Whether to tell an MQTT 3.1.1 broker that this is a bridge, as mosquitto does.',
  ),
  mark_messages: flag(
    true,
    'Whether messages to an MQTT 5 broker are marked, so that those that come back are not taken.',
  ),
  reconnect_delay: duration('1 second', 'How long to wait before the first new attempt.'),
  max_reconnect_delay: duration('1 minute', 'How long to wait between attempts at most.'),
  max_packet_size: size('16MiB', 'The largest packet taken from the other broker.', { min: 256 }),
} as const

type ServerValues = ValuesOf<typeof serverOptions>

const serverType = t.record(serverOptions)

/** The brokers by URL, with everything worked out that follows from it. */
export const serversType: Type<readonly BridgeSettings[]> = {
  name: 'a map (URL of a broker: options of a bridge)',
  takes: ['map'],
  appends: 'map',
  parse(node, ctx) {
    if (node.kind !== 'map') {
      ctx.expected('a map of URLs', node)
      return invalid
    }
    const servers: BridgeSettings[] = []
    let failed = !reportRepeats(node.entries, ctx)
    for (const entry of node.entries) {
      const server = parseServer(entry, servers, ctx)
      if (server === invalid) failed = true
      else servers.push(server)
    }
    return failed ? invalid : servers
  },
  schema: () => ({ type: 'object', additionalProperties: serverType.schema() }),
}

const faults: Readonly<Record<EndpointFault, string>> = {
  'not-a-url': 'it is not a URL with a host',
  'unknown-scheme': `its scheme has to be one of ${endpointSchemes.join(', ')}`,
  credentials: 'user name and password belong under "authentication"',
  path: 'only WebSockets have a path',
  fragment: 'it must not have a "#"',
}

function parseServer(
  entry: MapEntry,
  others: readonly BridgeSettings[],
  ctx: ParseContext,
): BridgeSettings | Invalid {
  const inner = ctx.at(entry.key)
  const endpoint = parseEndpoint(entry.key)
  if (!endpoint.ok) {
    ctx.report(entry.keyAt, `cannot use ${JSON.stringify(entry.key)}: ${faults[endpoint.error]}`)
  }
  const values = serverType.parse(entry.value, inner)
  if (!endpoint.ok || values === invalid) return invalid
  const settings = settingsOf(endpoint.value, values)
  const problems = problemsOf(settings, values)
  const twin = others.find(({ name }) => name === settings.name)
  if (twin !== undefined) {
    const { url } = twin.endpoint
    problems.push([
      'name',
      `${JSON.stringify(url)} has the name "${settings.name}" already, give one another`,
    ])
  }
  for (const [option, problem] of problems) {
    const written = entry.value.kind === 'map' ? entryOf(entry.value, option) : undefined
    if (written === undefined) inner.report(entry.keyAt, problem)
    else inner.at(option).report(written.keyAt, problem)
  }
  return problems.length === 0 ? settings : invalid
}

/** What does not go together, with the option at which it is shown. */
function problemsOf(
  { endpoint, rules, statusTopic }: BridgeSettings,
  { authentication, cafile, keep_alive, tls_server_name }: ServerValues,
): [option: keyof ServerValues, problem: string][] {
  const problems: [keyof ServerValues, string][] = []
  const { certfile, keyfile, username, password } = authentication
  if (rules.length === 0) {
    problems.push(['topics', 'nothing would be handed on: set "topics", "publish" or "subscribe"'])
  }
  if (!endpoint.isSecure) {
    const needs = 'needs TLS: the URL has to begin with mqtts, mqtt5s, wss or wss5'
    if (certfile !== undefined) problems.push(['authentication', `"certfile" ${needs}`])
    if (cafile !== undefined) problems.push(['cafile', `"cafile" ${needs}`])
    if (tls_server_name !== undefined) {
      problems.push(['tls_server_name', `"tls_server_name" ${needs}`])
    }
  }
  if (keyfile !== undefined && certfile === undefined) {
    problems.push(['authentication', '"keyfile" needs "certfile"'])
  }
  if (password !== undefined && username === undefined) {
    // MQTT3 3.1.2-22.
    problems.push(['authentication', '"password" needs "username"'])
  }
  if (keep_alive > maxKeepAliveMs) {
    problems.push(['keep_alive', `it can be ${maxKeepAliveMs / 1000} seconds at most`])
  }
  if (statusTopic !== undefined && statusTopic.startsWith('$share/')) {
    problems.push(['status_topic', 'nobody can publish there'])
  }
  return problems
}

const maxKeepAliveMs = 65_535_000

function settingsOf(endpoint: Endpoint, values: ServerValues): BridgeSettings {
  const { username, password, certfile, keyfile } = values.authentication
  return {
    name: values.name ?? defaultName(endpoint),
    endpoint,
    tls: {
      verifies: values.tls_verify,
      caFile: values.cafile,
      certFile: certfile,
      keyFile: keyfile,
      serverName: values.tls_server_name,
    },
    userName: username,
    password,
    clientId: values.client_id,
    cleanStart: values.clean_start,
    sessionExpirySeconds: Math.min(Math.ceil(values.session_expiry / 1000), neverExpires),
    keepAliveSeconds: Math.ceil(values.keep_alive / 1000),
    rules: rulesOf(values),
    statusTopic: values.status_topic,
    tellsBridge: values.try_private,
    marksMessages: values.mark_messages,
    reconnectMinMs: values.reconnect_delay,
    reconnectMaxMs: values.max_reconnect_delay,
    maxPacketBytes: Math.min(values.max_packet_size, maxPacketBytes),
  }
}

/** Those of ejabberd's kind come first: they name single topics. */
function rulesOf({ publish, subscribe, topics, qos }: ServerValues): readonly BridgeRule[] {
  const rules: BridgeRule[] = []
  const add = (direction: 'in' | 'out', local: TopicName, remote: TopicName): void => {
    const rule = createRule({
      filter: '',
      direction,
      qos: qosOf(qos),
      localPrefix: local,
      remotePrefix: remote,
      isKept: direction === 'in',
    })
    // Names are filters, too.
    if (rule.ok) rules.push(rule.value)
  }
  for (const [local, remote] of publish) add('out', local, remote)
  for (const [remote, local] of subscribe) add('in', local, remote)
  return [...rules, ...topics]
}

/** Fit for a level of a topic. */
function defaultName(endpoint: Endpoint): string {
  const path = endpoint.isWebSocket ? endpoint.path.replace(/\/+$/, '') : ''
  return `${authorityOf(endpoint)}${path}`.replaceAll(/[\s/+#$]/g, '.').slice(0, 64)
}

function qosOf(number: number): QoS {
  return number === 2 ? 2 : number === 1 ? 1 : 0
}
