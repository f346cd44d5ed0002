import {
  accepted,
  choice,
  duration,
  flag,
  from,
  integer,
  list,
  notYet,
  option,
  t,
  optional,
} from '../../options.ts'
import { originsType } from '../../options/net-types.ts'

const mechanismType = t.changed(t.textWith({ nonEmpty: true }), (name) => name.toUpperCase())
const sharedType = t.choice(['mnesia', 'sql', 'redis'], ['sql', 'redis'])
const noCache = 'the table is in memory already, so there is nothing to cache'

export const sessions = {
  global: {
    negotiation_timeout: duration('2 minutes', 'How long setting up a stream may take.'),
    websocket_origin: option(
      t.changed(t.oneOf([t.choice(['ignore']), t.list(originsType)]), (origins) =>
        origins === 'ignore' ? [] : origins.flat(),
      ),
      [],
      'Web sites whose pages may open WebSockets; none are checked when empty.',
    ),
    websocket_ping_interval: duration('1 minute', 'How often WebSocket clients are pinged.'),
    websocket_timeout: duration('5 minutes', 'How long a WebSocket may be idle.'),
    sm_cache_size: accepted(
      integer({ min: 1, orInfinity: true }, from('cache_size'), 'Sessions that are cached.'),
      noCache,
    ),
    sm_cache_life_time: accepted(
      duration(from('cache_life_time'), 'How long they are cached.', { orInfinity: true }),
      noCache,
    ),
    sm_cache_missed: accepted(
      flag(from('cache_missed'), 'Whether it is cached that a session is not there.'),
      noCache,
    ),
  },
  host: {
    resource_conflict: choice(
      ['setresource', 'closeold', 'closenew', 'acceptnew'],
      'acceptnew',
      'What happens when a client asks for a resource that is in use.',
    ),
    replaced_connection_timeout: accepted(
      duration('1 second', 'How long a new session waits for the one that it replaces.', {
        orInfinity: true,
      }),
      'a session that is replaced ends at once, so there is nothing to wait for',
    ),
    max_fsm_queue: notYet(
      integer({ min: 1 }, optional, 'Length of queues of connections whose listener sets none.'),
    ),
    disable_sasl_mechanisms: list(mechanismType, [], 'SASL mechanisms that are not offered.'),
    disable_sasl_scram_downgrade_protection: flag(
      false,
      'Leave out the data that protects SCRAM from downgrades (XEP-0474).',
    ),
    sm_db_type: accepted(
      option(sharedType, from('default_ram_db', 'mnesia'), 'Where the table of sessions is.'),
      'the table is in memory',
    ),
    sm_use_cache: accepted(flag(from('use_cache'), 'Whether sessions are cached.'), noCache),
  },
}
