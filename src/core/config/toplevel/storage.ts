import {
  accepted,
  choice,
  directory,
  duration,
  flag,
  integer,
  notYet,
  option,
  optional,
  t,
} from '../../options.ts'

/** Old names that ejabberd still rewrites in these options: see `legacy.ts`. */
const inMemory = t.choice(['mnesia', 'sql', 'redis'], ['redis'])

export const storage = {
  global: {
    queue_dir: notYet(directory(optional, 'Where queues on disk are kept.')),
  },
  host: {
    default_db: choice(['mnesia', 'sql'], 'mnesia', 'Where modules keep their data by default.'),
    default_ram_db: accepted(
      option(inMemory, 'mnesia', 'Where modules keep what need not last.'),
      'what need not last is in memory',
    ),
    queue_type: accepted(
      choice(['ram', 'file'], 'ram', 'Where queues are kept.'),
      'queues are in memory and of limited length',
    ),
    use_cache: flag(true, 'Whether what was read from the database is kept in memory.'),
    cache_size: integer({ min: 1, orInfinity: true }, 1000, 'Entries in each cache.'),
    cache_life_time: duration('1 hour', 'How long an entry is kept.', { orInfinity: true }),
    cache_missed: flag(true, 'Whether it is also kept that something is not there.'),
  },
}
