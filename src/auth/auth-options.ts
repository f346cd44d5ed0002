import type { PasswordForm, ScramHash, SignInPolicy } from '../core/account.ts'
import type { GlobalValues, HostValues } from '../core/config/toplevel.ts'
import { formHashes } from './stored-password.ts'
import type { CacheSettings } from './verified-passwords.ts'

/** The options of a host that accounts depend on. */
export type AuthOptions = Pick<
  HostValues,
  | 'auth_method'
  | 'auth_password_format'
  | 'auth_scram_hash'
  | 'auth_stored_password_types'
  | 'auth_password_types_hidden_in_sasl1'
  | 'auth_external_user_exists_check'
  | 'auth_use_cache'
  | 'anonymous_protocol'
  | 'allow_multiple_connections'
  | 'extauth_program'
  | 'extauth_pool_size'
  | 'jwt_key'
  | 'jwt_jid_field'
  | 'jwt_auth_only_rule'
> &
  Pick<GlobalValues, 'auth_cache_size' | 'auth_cache_life_time' | 'auth_cache_missed'>

export type AuthMethod = AuthOptions['auth_method'][number]

/** Picks them out of a configuration. */
export function authOptionsOf(host: HostValues, global: GlobalValues): AuthOptions {
  return {
    auth_method: host.auth_method,
    auth_password_format: host.auth_password_format,
    auth_scram_hash: host.auth_scram_hash,
    auth_stored_password_types: host.auth_stored_password_types,
    auth_password_types_hidden_in_sasl1: host.auth_password_types_hidden_in_sasl1,
    auth_external_user_exists_check: host.auth_external_user_exists_check,
    auth_use_cache: host.auth_use_cache,
    anonymous_protocol: host.anonymous_protocol,
    allow_multiple_connections: host.allow_multiple_connections,
    extauth_program: host.extauth_program,
    extauth_pool_size: host.extauth_pool_size,
    jwt_key: host.jwt_key,
    jwt_jid_field: host.jwt_jid_field,
    jwt_auth_only_rule: host.jwt_auth_only_rule,
    auth_cache_size: global.auth_cache_size,
    auth_cache_life_time: global.auth_cache_life_time,
    auth_cache_missed: global.auth_cache_missed,
  }
}

const scramForms = ['scram_sha1', 'scram_sha256', 'scram_sha512'] as const

/** The form that `auth_password_format: scram` asks for. */
export function configuredScram(options: AuthOptions): (typeof scramForms)[number] {
  return options.auth_scram_hash === 'sha' ? 'scram_sha1' : `scram_${options.auth_scram_hash}`
}

/**
 * In which forms passwords are stored. As in ejabberd where an option says so; with none set, keys for all SCRAM mechanisms
 * instead of ejabberd's `plain`, or for one of them where the table has room for one row an account.
 */
export function storedForms(options: AuthOptions, hasTypes: boolean): readonly PasswordForm[] {
  const several = options.auth_stored_password_types
  if (several.length > 0) {
    if (hasTypes) return [...new Set(several)]
    return [several.find((form) => form !== 'plain') ?? 'plain']
  }
  if (options.auth_password_format === 'plain') return ['plain']
  if (options.auth_password_format === 'scram' || !hasTypes) return [configuredScram(options)]
  return scramForms
}

/** The hashes for which keys can be had: a password that is stored as it is leads to all of them. */
export function scramHashes(forms: readonly PasswordForm[]): readonly ScramHash[] {
  const all = scramForms.map((form) => formHashes[form])
  if (forms.includes('plain')) return all
  return all.filter((hash) => forms.includes(`scram_${hash}`))
}

/**
 * As in ejabberd: what a client can choose must work for every account, so that one backend that needs the password itself
 * takes SCRAM away, unless `auth_stored_password_types` asks for it.
 */
export function policyOf(
  options: AuthOptions,
  methods: readonly AuthMethod[],
  hasTypes: boolean,
): SignInPolicy {
  const keeps = methods.some((method) => method === 'mnesia' || method === 'sql')
  const needsPassword = methods.some((method) => method === 'external' || method === 'jwt')
  const isAsked = options.auth_stored_password_types.length > 0
  const isGuests = methods.includes('anonymous')
  const forms = storedForms(options, hasTypes)
  return {
    scram: keeps && (isAsked || !needsPassword) ? scramHashes(forms) : [],
    checksPasswords:
      keeps || needsPassword || (isGuests && options.anonymous_protocol !== 'sasl_anon'),
    allowsGuests: isGuests && options.anonymous_protocol !== 'login_anon',
    hiddenInSasl1: options.auth_password_types_hidden_in_sasl1,
  }
}

/** Undefined: nothing is to be cached. */
export function cacheOf(options: AuthOptions): CacheSettings | undefined {
  if (!options.auth_use_cache) return undefined
  return { size: options.auth_cache_size, lifeTimeMs: options.auth_cache_life_time }
}
