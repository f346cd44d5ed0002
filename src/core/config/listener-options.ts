import {
  accepted,
  choice,
  duration,
  flag,
  integer,
  ip,
  list,
  map,
  oneOf,
  option,
  optional,
  pem,
  file,
  record,
  required,
  t,
  text,
} from '../options.ts'
import type { OptionMap, ValuesOf } from '../options.ts'

const unixPathType = t.textWith({ name: '"unix:" and a path', pattern: /^unix:./ })

const octalType = t.changed(
  t.textWith({ name: 'an octal number ("0660")', pattern: /^0?[0-7]{1,4}$/ }),
  (digits) => parseInt(digits, 8),
)

/** Options that every listener has, whatever protocol it speaks. */
export const listenerOptions = {
  port: oneOf(
    [t.integer({ min: 0, max: 65535 }), unixPathType],
    required,
    'Port to listen on (0: any free one), or unix:PATH of a socket.',
  ),
  module: text(required, 'What is spoken there.'),
  ip: ip('0.0.0.0', 'Address to listen on; "::" takes IPv4 as well.'),
  transport: choice(['tcp', 'udp'], 'tcp', 'How data is carried.'),
  accept_interval: integer(
    { min: 0 },
    0,
    'Least time between two new connections, in milliseconds.',
  ),
  backlog: integer({ min: 0 }, 128, 'How many connections may wait to be accepted.'),
  send_timeout: duration(
    '15 seconds',
    'How long a write may be stuck before the connection is closed.',
    {
      orInfinity: true,
    },
  ),
  unix_socket: record(
    {
      mode: option(octalType, optional, 'Permissions of the socket, octal.'),
      owner: integer({ min: 0 }, optional, 'Number of the user that owns it.'),
      group: integer({ min: 0 }, optional, 'Number of its group.'),
    },
    {},
    'Who may use a socket at unix:PATH.',
  ),
  use_proxy_protocol: flag(false, 'Whether a proxy tells the address of the client first.'),
  supervisor: accepted(flag(true, 'How processes are arranged.'), 'there are no such processes'),
} satisfies OptionMap

export type ListenerValues = ValuesOf<typeof listenerOptions>

/** Options that mean nothing where there are no connections. */
export const streamOnlyOptions: readonly string[] = [
  'backlog',
  'use_proxy_protocol',
  'accept_interval',
]

/** Options of every listener that can speak TLS, to be spread into its own. */
export const tlsListenerOptions = {
  tls: flag(false, 'Whether TLS is spoken from the first byte.'),
  ciphers: text(optional, 'Ciphers in the form of OpenSSL.'),
  dhfile: file(optional, 'Parameters for Diffie-Hellman.'),
  cafile: pem(optional, 'Authorities that certificates of clients are checked against.'),
  protocol_options: list(t.text, optional, 'TLS options, such as no_tlsv1_1.'),
  tls_compression: accepted(
    flag(false, 'Compression inside TLS.'),
    'compression inside TLS leaks secrets (CRIME) and is never offered',
  ),
} satisfies OptionMap

/** The option of listeners that serve HTTP: the first prefix that matches a path wins. */
export const requestHandlersOption = map(
  t.text,
  t.text,
  {},
  'What answers requests, by prefix of the path.',
)
