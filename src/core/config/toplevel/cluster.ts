import {
  accepted,
  choice,
  duration,
  flag,
  from,
  integer,
  list,
  map,
  notYet,
  option,
  t,
} from '../../options.ts'

const sharedType = t.choice(['mnesia', 'sql', 'redis'], ['sql', 'redis'])
const noCache = 'the table is in memory already, so there is nothing to cache'
const erlangNodes = 'it is about the nodes of Erlang, of which there are none'

export const cluster = {
  global: {
    router_db_type: accepted(
      option(sharedType, from('default_ram_db', 'mnesia'), 'Where the table of routes is.'),
      'the table is in memory',
    ),
    router_use_cache: accepted(flag(from('use_cache'), 'Whether routes are cached.'), noCache),
    router_cache_size: accepted(
      integer({ min: 1, orInfinity: true }, from('cache_size'), 'Routes that are cached.'),
      noCache,
    ),
    router_cache_life_time: accepted(
      duration(from('cache_life_time'), 'How long they are cached.', { orInfinity: true }),
      noCache,
    ),
    router_cache_missed: accepted(
      flag(from('cache_missed'), 'Whether it is cached that a route is not there.'),
      noCache,
    ),
    domain_balancing: notYet(
      map(
        t.domain,
        t.record({
          type: choice(
            ['random', 'source', 'destination', 'bare_source', 'bare_destination'],
            'random',
            'What decides which component gets a stanza.',
          ),
          component_number: integer(
            { min: 2, max: 1000 },
            2,
            'How many components share the domain.',
          ),
        }),
        {},
        'How stanzas are spread over components of one domain.',
      ),
    ),
    cluster_backend: accepted(
      choice(['mnesia'], 'mnesia', 'How nodes find one another.'),
      erlangNodes,
    ),
    cluster_nodes: notYet(list(t.text, [], 'Nodes to join at start.', { unique: true })),
    rpc_timeout: accepted(
      duration('5 seconds', 'How long calls of other nodes may take.'),
      erlangNodes,
    ),
    net_ticktime: accepted(
      duration('1 minute', 'How often nodes look for one another.'),
      erlangNodes,
    ),
  },
  host: {},
}
