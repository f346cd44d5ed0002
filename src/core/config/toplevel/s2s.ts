import {
  access,
  choice,
  duration,
  flag,
  from,
  integer,
  list,
  notYet,
  oneOf,
  option,
  optional,
  port,
  t,
} from '../../options.ts'

export const s2s = {
  global: {
    s2s_max_retry_delay: notYet(duration('5 minutes', 'Longest wait before connecting again.')),
  },
  host: {
    s2s_use_starttls: notYet(
      oneOf(
        [t.flag, t.choice(['optional', 'required'])],
        false,
        'Whether streams of servers use TLS.',
      ),
    ),
    s2s_access: notYet(access('all', 'Which servers may be talked to.')),
    s2s_timeout: notYet(duration('1 hour', 'How long a stream may be idle.', { orInfinity: true })),
    s2s_dns_timeout: notYet(duration('10 seconds', 'How long DNS may take.', { orInfinity: true })),
    s2s_dns_retries: notYet(integer({ min: 0 }, 2, 'How often DNS is asked again.')),
    s2s_queue_type: notYet(choice(['ram', 'file'], from('queue_type'), 'Where stanzas wait.')),
    s2s_zlib: notYet(flag(false, 'Whether streams may be compressed (XEP-0138).')),
    outgoing_s2s_port: notYet(port(5269, 'Port of servers that have no SRV record.')),
    outgoing_s2s_families: notYet(
      list(
        t.choice(['ipv4', 'ipv6']),
        ['ipv6', 'ipv4'],
        'Which addresses are tried, in this order.',
        {
          nonEmpty: true,
          unique: true,
        },
      ),
    ),
    outgoing_s2s_timeout: notYet(
      duration('10 seconds', 'How long connecting may take.', { orInfinity: true }),
    ),
    outgoing_s2s_ipv4_address: notYet(
      option(t.ipv4, optional, 'Own address for connections over IPv4.'),
    ),
    outgoing_s2s_ipv6_address: notYet(
      option(t.ipv6, optional, 'Own address for connections over IPv6.'),
    ),
  },
}
