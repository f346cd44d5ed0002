import {
  accepted,
  choice,
  duration,
  from,
  integer,
  oneOf,
  optional,
  t,
} from '../../core/options.ts'

export const streamMgmtOptions = {
  max_ack_queue: integer(
    { min: 1, orInfinity: true },
    5000,
    'Stanzas that a client may leave unacknowledged. Above it the session ends.',
  ),
  resume_timeout: duration(
    '5 minutes',
    'How long a session waits for its client to come back. 0 = not at all.',
    { orZero: true },
  ),
  max_resume_timeout: duration(
    optional,
    'The longest time that a client may ask for. Unless it is given, that is resume_timeout.',
    { orZero: true },
  ),
  ack_timeout: duration('1 minute', 'How long a client may take to acknowledge when it is asked.', {
    orInfinity: true,
  }),
  cache_size: integer(
    { min: 1, orInfinity: true },
    from('cache_size'),
    'Sessions whose count of handled stanzas is remembered after their end.',
  ),
  cache_life_time: duration('2 days', 'How long that is remembered.', { orInfinity: true }),
  resend_on_timeout: oneOf(
    [t.flag, t.choice(['if_offline'])],
    false,
    'What becomes of messages that were not acknowledged when a session ends: they go to the account again (true), only if no other session of it is there (if_offline), or back to their senders with an error (false).',
  ),
  queue_type: accepted(
    choice(['ram', 'file'], from('queue_type'), 'Where what is not acknowledged is kept.'),
    'messages that have to last are in the database besides, at any size',
  ),
} as const
