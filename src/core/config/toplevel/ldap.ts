import {
  choice,
  computed,
  integer,
  list,
  notYet,
  option,
  optional,
  pem,
  port,
  secret,
  t,
  text,
} from '../../options.ts'

const uidsType = t.oneOf([
  t.changed(t.list(t.text), (names) => new Map(names.map((name) => [name, '%u']))),
  t.map(t.text, t.text),
])

export const ldap = {
  global: {},
  host: {
    ldap_servers: notYet(list(t.domain, ['localhost'], 'LDAP servers.', { unique: true })),
    ldap_backups: notYet(
      list(t.domain, [], 'Servers for when none of the others answers.', { unique: true }),
    ),
    ldap_port: notYet(
      port(
        computed(
          (lookUp) => (lookUp('ldap_encrypt') === 'tls' ? 636 : 389),
          '636 with tls, else 389',
        ),
        'Port of the servers.',
      ),
    ),
    ldap_encrypt: notYet(
      choice(['tls', 'starttls', 'none'], 'none', 'How the connection is encrypted.'),
    ),
    ldap_tls_verify: notYet(
      choice(['hard', 'soft', 'false'], 'false', 'Refuse, warn about, or ignore bad certificates.'),
    ),
    ldap_tls_cacertfile: notYet(
      pem(optional, 'Authorities that certificates are checked against.'),
    ),
    ldap_tls_certfile: notYet(pem(optional, 'Own certificate and key.')),
    ldap_tls_depth: notYet(integer({ min: 0 }, optional, 'Longest chain of certificates.')),
    ldap_rootdn: notYet(text('', 'Name to bind as; nobody when empty.')),
    ldap_password: notYet(secret(text('', 'Password to bind with.'))),
    ldap_base: notYet(text('', 'Where searches start.')),
    ldap_uids: notYet(option(uidsType, { uid: '%u' }, 'Attributes with the name of the user.')),
    ldap_filter: notYet(text('', 'A filter that entries have to match as well.')),
    ldap_dn_filter: notYet(
      option(t.map(t.text, t.list(t.text)), optional, 'A second filter, run on each entry found.'),
    ),
    ldap_deref_aliases: notYet(
      choice(['never', 'searching', 'finding', 'always'], 'never', 'When aliases are followed.'),
    ),
  },
}
