import {
  accepted,
  choice,
  computed,
  duration,
  file,
  flag,
  from,
  integer,
  list,
  notYet,
  option,
  optional,
  t,
  text,
} from '../../options.ts'

const methods = ['mnesia', 'sql', 'external', 'ldap', 'pam', 'jwt', 'anonymous'] as const
const passwordForms = ['plain', 'scram_sha1', 'scram_sha256', 'scram_sha512'] as const

export const auth = {
  global: {
    auth_cache_size: integer(
      { min: 1, orInfinity: true },
      from('cache_size'),
      'Passwords that are cached.',
    ),
    auth_cache_life_time: duration(from('cache_life_time'), 'How long they are cached.', {
      orInfinity: true,
    }),
    auth_cache_missed: flag(
      from('cache_missed'),
      'Whether it is cached that an account is not there.',
    ),
  },
  host: {
    auth_method: list(
      t.choice(methods, ['ldap', 'pam']),
      computed(
        (lookUp) => [lookUp('default_db') === 'sql' ? 'sql' : 'mnesia'],
        'the top-level option default_db',
      ),
      'Where accounts are looked up, in this order.',
    ),
    auth_opts: notYet(option(t.any, optional, 'Options of methods of third parties.')),
    // ejabberd's default is `plain`. Without any setting, SCRAM keys of all three hashes are stored here.
    auth_password_format: choice(
      ['plain', 'scram'],
      optional,
      'How new passwords are stored, unless auth_stored_password_types says it.',
    ),
    auth_scram_hash: choice(['sha', 'sha256', 'sha512'], 'sha', 'The hash of the format scram.'),
    auth_stored_password_types: list(
      t.choice(passwordForms),
      [],
      'All forms in which new passwords are stored.',
    ),
    auth_password_types_hidden_in_sasl1: list(
      t.choice(passwordForms),
      [],
      'Forms whose mechanisms are not offered in SASL1.',
    ),
    auth_external_user_exists_check: flag(
      true,
      'Take accounts that logged in once as existing where the method cannot tell.',
    ),
    auth_use_cache: flag(from('use_cache'), 'Whether passwords are cached.'),

    anonymous_protocol: choice(
      ['sasl_anon', 'login_anon', 'both'],
      'sasl_anon',
      'How guests log in: by SASL ANONYMOUS, by any unused name, or both.',
    ),
    allow_multiple_connections: flag(false, 'Whether several guests may use one name.'),

    extauth_program: text(optional, 'The program that checks passwords.'),
    extauth_pool_name: accepted(
      text(optional, 'Name of the pool of its processes.'),
      'each host has processes of its own',
    ),
    extauth_pool_size: integer({ min: 1 }, optional, 'How many of its processes run.'),

    pam_service: notYet(text('ejabberd', 'The PAM service.')),
    pam_userinfotype: notYet(
      choice(['username', 'jid'], 'username', 'What PAM is given as the name of a user.'),
    ),

    jwt_key: file(optional, 'The key that signs tokens: PEM, JWK, or a JWK set of one.'),
    jwt_jid_field: text('jid', 'The claim that holds the JID.'),
    jwt_auth_only_rule: option(t.access, 'none', 'Accounts that may log in with tokens only.'),
  },
}
