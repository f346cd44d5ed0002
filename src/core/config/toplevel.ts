import { access } from './toplevel/access.ts'
import { auth } from './toplevel/auth.ts'
import { captcha } from './toplevel/captcha.ts'
import { cluster } from './toplevel/cluster.ts'
import { general } from './toplevel/general.ts'
import { ldap } from './toplevel/ldap.ts'
import { logging } from './toplevel/logging.ts'
import { memory } from './toplevel/memory.ts'
import { oauth } from './toplevel/oauth.ts'
import { redis } from './toplevel/redis.ts'
import { s2s } from './toplevel/s2s.ts'
import { sessions } from './toplevel/sessions.ts'
import { sql } from './toplevel/sql.ts'
import { storage } from './toplevel/storage.ts'
import { tls } from './toplevel/tls.ts'
import type { OptionMap, ValuesOf } from '../options.ts'

/** Options that hold for the whole server: `host_config` must not set them. */
export const globalOptions = {
  ...general.global,
  ...logging.global,
  ...access.global,
  ...storage.global,
  ...tls.global,
  ...sessions.global,
  ...auth.global,
  ...ldap.global,
  ...sql.global,
  ...redis.global,
  ...cluster.global,
  ...s2s.global,
  ...oauth.global,
  ...captcha.global,
  ...memory.global,
} satisfies OptionMap

/** Options that may differ by host. */
export const hostOptions = {
  ...general.host,
  ...logging.host,
  ...access.host,
  ...storage.host,
  ...tls.host,
  ...sessions.host,
  ...auth.host,
  ...ldap.host,
  ...sql.host,
  ...redis.host,
  ...cluster.host,
  ...s2s.host,
  ...oauth.host,
  ...captcha.host,
  ...memory.host,
} satisfies OptionMap

/** All options that may stand at the top of a configuration. */
export const topLevelOptions = { ...globalOptions, ...hostOptions } satisfies OptionMap

/** By area, for the docs. */
export const optionAreas = {
  'General, hosts, structure': general,
  Logging: logging,
  'Access control and rate limits': access,
  'Storage and caches': storage,
  'TLS and certificates': tls,
  'Client sessions': sessions,
  Authentication: auth,
  LDAP: ldap,
  SQL: sql,
  Redis: redis,
  'Routing and cluster': cluster,
  'Servers (S2S)': s2s,
  'OAuth and external API': oauth,
  CAPTCHA: captcha,
  'Memory guard': memory,
} as const

/** Options that shape the configuration itself: what comes of them is not among the values. */
export const structuralOptions = [
  'host_config',
  'append_host_config',
  'include_config_file',
  'define_macro',
  'define_keyword',
  'modules',
  'listen',
] as const
type Structural = (typeof structuralOptions)[number]

/** Values of the whole server; those that may differ by host are the ones that hold outside any host. */
export type GlobalValues = Omit<ValuesOf<typeof topLevelOptions>, Structural>
/** Values on one host. */
export type HostValues = Omit<ValuesOf<typeof hostOptions>, Structural>
