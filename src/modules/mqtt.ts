import { accountRemoved } from '../core/account.ts'
import { cachesCleared } from '../core/caches.ts'
import { configReloaded } from '../core/current-config.ts'
import { defineModule } from '../core/module.ts'
import {
  accepted,
  access as accessOption,
  choice,
  duration,
  flag,
  from,
  integer,
  option,
  optional,
  size,
  t,
  text,
} from '../core/options.ts'
import type { ValuesOf } from '../core/options.ts'
import { sessionRegistry } from '../core/sessions.ts'
import { access, hosts, serverControl } from '../core/shared.ts'
import { banCommands } from '../mqtt/ban-commands.ts'
import { Bans } from '../mqtt/bans.ts'
import { Broker } from '../mqtt/broker.ts'
import { brokersOf } from '../mqtt/brokers.ts'
import { mqttCommands } from '../mqtt/commands/index.ts'
import { neverExpires } from '../mqtt/session.ts'
import type { BrokerSettings } from '../mqtt/settings.ts'
import { defaultSettings } from '../mqtt/settings.ts'
import { topicRules } from '../mqtt/topic-rule.ts'

const allInMemory = 'retained messages are in memory, and in the database, at any size'

const options = {
  access: accessOption('all', 'Who may connect; the client identifier is the resource.'),
  access_publish: topicRules(
    'Who may publish to which topics: an access rule for each topic filter, with limits if need be. Empty = everybody everywhere.',
  ),
  access_subscribe: topicRules(
    'Who may subscribe to which topics: an access rule for each topic filter, with limits if need be. Empty = everybody everywhere.',
  ),
  redirect: accessOption(
    'none',
    'Who is told, when connecting, to use the server of server_reference instead.',
  ),
  server_reference: option(
    t.textWith({ name: 'names of servers ("broker.example.org:8883")', pattern: /^\S+( \S+)*$/ }),
    optional,
    'Where clients are sent by redirect and redirect_at_stop; several servers with blanks between.',
  ),
  server_moved: flag(
    false,
    'Clients are sent there for good ("Server moved") instead of for now ("Use another server").',
  ),
  redirect_at_stop: flag(
    false,
    'A server that stops sends its clients there instead of telling them that it is shutting down.',
  ),
  response_information: text(
    defaultSettings.responseInformation,
    'Told to clients that ask for response information: the topic below which they may have answers sent to them. %u, %d and %c are user, domain and client identifier. Empty = nothing.',
  ),
  access_sys: accessOption(
    'configure',
    'Who may subscribe to $SYS: figures about the broker, under the names that mosquitto gives them.',
  ),
  sys_interval: duration(
    '10 seconds',
    'How often these figures are published. 0 = there are none.',
    { orZero: true },
  ),
  max_queue: integer(
    { min: 1, orInfinity: true },
    defaultSettings.maxQueue,
    'Messages that wait for one client. When there are more, the newest are lost.',
  ),
  max_queue_bytes: size('32MiB', 'Bytes of the messages that wait for one client.', {
    orInfinity: true,
  }),
  max_total_queue_bytes: size(
    '512MiB',
    'Bytes of the messages that wait for all clients of the host, each counted once.',
    { orInfinity: true },
  ),
  session_expiry: duration(
    '5 minutes',
    'How long a session outlives its connection at most. 0 = not at all.',
    { orZero: true, orInfinity: true },
  ),
  max_topic_depth: integer(
    { min: 1, orInfinity: true },
    defaultSettings.maxTopicDepth,
    'Topic filters with this many slashes are refused.',
  ),
  max_topic_aliases: integer(
    { min: 0, max: 65_535 },
    defaultSettings.maxTopicAliases,
    'Topic aliases that a client may set.',
  ),
  match_retained_limit: integer(
    { min: 1, orInfinity: true },
    defaultSettings.matchRetainedLimit,
    'Retained messages sent for one topic filter.',
  ),
  max_inflight: integer(
    { min: 1, max: 65_535 },
    defaultSettings.maxInflight,
    'Unacknowledged messages on their way to one client.',
  ),
  receive_maximum: integer(
    { min: 1, max: 65_535 },
    defaultSettings.receiveMaximum,
    'Unacknowledged messages that a client may have sent (MQTT 5).',
  ),
  max_keep_alive: duration('infinity', 'The longest keep alive that an MQTT 5 client is granted.', {
    orInfinity: true,
  }),
  max_subscriptions: integer(
    { min: 1, orInfinity: true },
    defaultSettings.maxSubscriptions,
    'Subscriptions of one session.',
  ),
  max_user_sessions: integer(
    { min: 1, orInfinity: true },
    defaultSettings.maxUserSessions,
    'Sessions of one account, connected or not.',
  ),
  max_retained: integer(
    { min: 1, orInfinity: true },
    defaultSettings.maxRetained,
    'Retained messages of the host.',
  ),
  max_retained_bytes: size('1GiB', 'Bytes of the retained messages of the host.', {
    orInfinity: true,
  }),
  db_type: choice(
    ['mnesia', 'sql', 'ram'],
    from('default_db'),
    'Where retained messages and sessions are kept: "sql" is the database of the sql_* options, "mnesia" the embedded one, with "ram" a restart loses them.',
  ),
  ram_db_type: accepted(
    choice(['mnesia', 'sql'], from('default_ram_db', 'mnesia'), 'Where sessions are kept.'),
    'sessions are in memory and, as far as they have to last, where db_type says',
  ),
  queue_type: accepted(
    choice(['ram', 'file'], from('queue_type'), 'Where queues are kept.'),
    'queues are in memory, bounded by max_queue_bytes, and those of lasting sessions in the database too',
  ),
  use_cache: accepted(flag(from('use_cache'), 'Whether to cache.'), allInMemory),
  cache_size: accepted(
    integer({ min: 1, orInfinity: true }, from('cache_size'), 'Entries in the cache.'),
    allInMemory,
  ),
  cache_life_time: accepted(
    duration(from('cache_life_time'), 'How long an entry is kept.', { orInfinity: true }),
    allInMemory,
  ),
  cache_missed: accepted(flag(from('cache_missed'), 'Whether to cache absence.'), allInMemory),
} as const

/** The MQTT broker of a host. Clients come in by listeners of `mod_mqtt`, or by WebSocket. */
export const mqtt = defineModule({
  name: 'mod_mqtt',
  specs: ['MQTT 5.0', 'MQTT 3.1.1', 'MQTT 3.1'],
  options,
  async start(ctx) {
    const isLasting = ctx.options.db_type !== 'ram'
    if (!isLasting) {
      ctx.log.warn('db_type is "ram": a restart loses retained messages, sessions and their queues')
    }
    const bans = await Bans.open(ctx.store, ctx.clock)
    const broker = await Broker.open({
      host: ctx.host,
      settings: settingsOf(ctx.options),
      store: isLasting ? ctx.store : undefined,
      hooks: ctx.service(hosts).get(ctx.host).hooks,
      access: ctx.service(access),
      bans,
      registry: ctx.service(sessionRegistry),
      clock: ctx.clock,
      metrics: ctx.metrics,
      log: ctx.log,
      version: ctx.service(serverControl).version,
    })
    const brokers = brokersOf(ctx.services)
    brokers.add(broker)
    for (const command of banCommands) ctx.command(command)
    ctx.onStop(async () => {
      brokers.remove(broker)
      await broker.stop()
    })
    for (const command of mqttCommands) ctx.command(command)
    ctx.on(accountRemoved, (account) => broker.endSessionsOf(account, 'Account removed'))
    ctx.on(configReloaded, () => broker.accessChanged())
    ctx.on(cachesCleared, () => broker.clearCache())
    return broker
  },
  reload(ctx, before) {
    if (ctx.options.db_type !== before.db_type) {
      ctx.log.warn('A change of db_type takes effect when the server is started again')
    }
    brokersOf(ctx.services).find(ctx.host)?.reload(settingsOf(ctx.options))
  },
})

function settingsOf(values: ValuesOf<typeof options>): BrokerSettings {
  return {
    access: values.access,
    accessPublish: values.access_publish,
    accessSubscribe: values.access_subscribe,
    redirect: {
      serverReference: values.server_reference,
      redirect: values.redirect,
      isMoved: values.server_moved,
      atStop: values.redirect_at_stop,
    },
    responseInformation: values.response_information,
    accessSys: values.access_sys,
    sysIntervalSeconds: Math.ceil(values.sys_interval / 1000),
    maxQueue: values.max_queue,
    maxQueueBytes: values.max_queue_bytes,
    maxTotalQueueBytes: values.max_total_queue_bytes,
    sessionExpirySeconds: Math.min(Math.ceil(values.session_expiry / 1000), neverExpires),
    maxTopicDepth: values.max_topic_depth,
    maxTopicAliases: values.max_topic_aliases,
    matchRetainedLimit: values.match_retained_limit,
    maxInflight: values.max_inflight,
    receiveMaximum: values.receive_maximum,
    maxKeepAliveSeconds: Math.ceil(values.max_keep_alive / 1000),
    maxSubscriptions: values.max_subscriptions,
    maxUserSessions: values.max_user_sessions,
    maxRetained: values.max_retained,
    maxRetainedBytes: values.max_retained_bytes,
  }
}
