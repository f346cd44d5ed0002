import {
  accepted,
  choice,
  file,
  flag,
  list,
  notYet,
  option,
  optional,
  pem,
  record,
  t,
  url,
} from '../../options.ts'

/** A cipher list in OpenSSL's form, or its parts as a list. */
const ciphersType = t.changed(t.list(t.text, { unique: true }), (parts) => parts.join(':'))

const noCompression = 'compression inside TLS leaks secrets (CRIME) and is never offered'

export const tls = {
  global: {
    certfiles: list(
      t.text,
      [],
      'Files of certificates and keys in any order; wildcards are allowed.',
    ),
    ca_file: pem(
      optional,
      'Authorities that peers are checked against, instead of the well-known ones.',
    ),
    acme: notYet(
      record(
        {
          ca_url: url(
            'https://acme-v02.api.letsencrypt.org/directory',
            'The directory of the certificate authority.',
          ),
          contact: list(
            t.textWith({
              name: 'a contact ("mailto:me@example.org")',
              pattern: /^[a-zA-Z]+:[^:]+$/,
            }),
            [],
            'How the authority can reach you.',
          ),
          auto: flag(true, 'Whether missing certificates are requested at start.'),
          cert_type: choice(['rsa', 'ec'], 'rsa', 'The kind of key.'),
        },
        {},
        'How certificates are obtained automatically.',
      ),
    ),
  },
  host: {
    c2s_cafile: file(optional, 'Authorities that certificates of clients are checked against.'),
    c2s_ciphers: option(ciphersType, optional, 'Ciphers for clients, in the form of OpenSSL.'),
    c2s_dhfile: file(optional, 'Parameters for Diffie-Hellman with clients.'),
    c2s_protocol_options: list(t.text, optional, 'TLS options for clients, such as no_tlsv1_1.', {
      unique: true,
    }),
    c2s_tls_compression: accepted(
      flag(optional, 'Compression inside TLS with clients.'),
      noCompression,
    ),
    s2s_cafile: notYet(
      pem(optional, 'Authorities that certificates of servers are checked against.'),
    ),
    s2s_ciphers: notYet(
      option(ciphersType, optional, 'Ciphers for servers, in the form of OpenSSL.'),
    ),
    s2s_dhfile: notYet(file(optional, 'Parameters for Diffie-Hellman with servers.')),
    s2s_protocol_options: notYet(
      list(t.text, optional, 'TLS options for servers, such as no_tlsv1_1.', { unique: true }),
    ),
    s2s_tls_compression: accepted(
      flag(optional, 'Compression inside TLS with servers.'),
      noCompression,
    ),
  },
}
