import { anyType, changedType, listType, mapType, oneOfType } from './options/container-types.ts'
import { directoryType, fileType, pathType, pemType } from './options/file-types.ts'
import {
  cidrType,
  domainType,
  ipType,
  ipv4Type,
  ipv6Type,
  jidType,
  portType,
  serviceDomainType,
  topicFilterType,
  urlType,
} from './options/net-types.ts'
import { option, recordType } from './options/option.ts'
import { globType, regexType } from './options/pattern-types.ts'
import { accessType, shaperRuleType } from './options/rule-types.ts'
import {
  choiceType,
  durationType,
  flagType,
  integerType,
  languageType,
  sizeType,
  textType,
} from './options/scalar-types.ts'
import type { HostName, Jid } from '../xmpp/jid/jid.ts'
import type { Cidr } from '../util/cidr.ts'
import type { ListLimits } from './options/container-types.ts'
import type { Default, Option, OptionMap, Valued, ValuesOf } from './options/option.ts'
import type { Glob } from './options/pattern-types.ts'
import type { AccessRule, ShaperRule } from './options/rule-types.ts'
import type { DurationLimits, IntegerLimits, TextLimits } from './options/scalar-types.ts'
import type { Type } from './options/type.ts'

/*
 * How options are declared. Each option of the server, of a module or of a listener is one value made
 * here: its type, default, limits and help text stand nowhere else.
 *
 *   options: {
 *     send_pings: flag(false, 'Ping clients that have been silent.'),
 *     ping_interval: duration('1 minute', 'How long a client may be silent.'),
 *     max_items: integer({ min: 1, orInfinity: true }, 100, 'Items kept for each node.'),
 *     hosts: list(t.serviceDomain, ['conference.@HOST@'], 'Host names of the service.'),
 *     db_type: choice(['mnesia', 'sql'], from('default_db'), 'Where the items are kept.'),
 *     password: secret(text(required, 'Shared with the component.')),
 *     captcha: notYet(flag(false, 'Ask strangers to solve a riddle.')),
 *   }
 *
 * Where a default is asked for, there may also stand `required`, `optional` (the value may be
 * undefined), `from('use_cache')` (the top-level option's value) or `computed(...)`; `secret`, `notYet`
 * and `accepted` wrap an option. Most values need no more imports than this file.
 */

export {
  accepted,
  computed,
  describe,
  from,
  jsonSchemaOf,
  notYet,
  option,
  optional,
  parseOptions,
  required,
  secret,
  valuesOf,
} from './options/option.ts'
export type { Option, OptionMap, Status, ValuesOf } from './options/option.ts'

/** The bare types, for use inside lists and maps. Functions take limits. */
export const t = {
  flag: flagType,
  integer: integerType,
  duration: durationType(),
  durationWith: durationType,
  size: sizeType,
  text: textType(),
  textWith: textType,
  language: languageType,
  choice: choiceType,
  regex: regexType,
  glob: globType,
  domain: domainType,
  serviceDomain: serviceDomainType,
  ip: ipType,
  ipv4: ipv4Type,
  ipv6: ipv6Type,
  cidr: cidrType,
  port: portType,
  url: urlType,
  jid: jidType,
  topicFilter: topicFilterType,
  path: pathType,
  file: fileType,
  pem: pemType,
  directory: directoryType,
  access: accessType,
  shaperRule: shaperRuleType,
  list: listType,
  map: mapType,
  record: recordType,
  oneOf: oneOfType,
  changed: changedType,
  any: anyType,
} as const

export function flag<const D extends Default<boolean>>(
  fallback: D,
  help: string,
): Option<Valued<boolean, D>> {
  return option(flagType, fallback, help)
}

/** With `orInfinity` the value may be `Infinity`. */
export function integer<const D extends Default<number | 'infinity'>>(
  limits: IntegerLimits,
  fallback: D,
  help: string,
): Option<Valued<number, D>> {
  return option(integerType(limits), fallback, help)
}

export function port<const D extends Default<number>>(
  fallback: D,
  help: string,
): Option<Valued<number, D>> {
  return option(portType, fallback, help)
}

/** A value in milliseconds; `Infinity` if the limits allow it. Numbers without a unit are seconds. */
export function duration<const D extends Default<number | string>>(
  fallback: D,
  help: string,
  limits: DurationLimits = {},
): Option<Valued<number, D>> {
  return option(durationType(limits), fallback, help)
}

/** A number of bytes, which may be written with a unit. */
export function size<const D extends Default<number | string>>(
  fallback: D,
  help: string,
  limits: { readonly min?: number; readonly orInfinity?: boolean } = {},
): Option<Valued<number, D>> {
  return option(sizeType(limits), fallback, help)
}

export function text<const D extends Default<string>>(
  fallback: D,
  help: string,
  limits: TextLimits = {},
): Option<Valued<string, D>> {
  return option(textType(limits), fallback, help)
}

export function language<const D extends Default<string>>(
  fallback: D,
  help: string,
): Option<Valued<string, D>> {
  return option(languageType, fallback, help)
}

export function choice<const C extends string, const D extends Default<C>>(
  choices: readonly C[],
  fallback: D,
  help: string,
): Option<Valued<C, D>> {
  return option(choiceType(choices), fallback, help)
}

export function regex<const D extends Default<string>>(
  fallback: D,
  help: string,
): Option<Valued<RegExp, D>> {
  return option(regexType, fallback, help)
}

export function glob<const D extends Default<string>>(
  fallback: D,
  help: string,
): Option<Valued<Glob, D>> {
  return option(globType, fallback, help)
}

/** A host name in canonical form. */
export function domain<const D extends Default<string>>(
  fallback: D,
  help: string,
): Option<Valued<HostName, D>> {
  return option(domainType, fallback, help)
}

/** The host names of a service; the default usually holds `@HOST@`. */
export function serviceDomains<const D extends Default<readonly string[]>>(
  fallback: D,
  help: string,
): Option<Valued<readonly HostName[], D>> {
  return option(listType(serviceDomainType), fallback, help)
}

export function jidOption<const D extends Default<string>>(
  fallback: D,
  help: string,
): Option<Valued<Jid, D>> {
  return option(jidType, fallback, help)
}

export function ip<const D extends Default<string>>(
  fallback: D,
  help: string,
): Option<Valued<string, D>> {
  return option(ipType, fallback, help)
}

export function cidrs<const D extends Default<readonly string[]>>(
  fallback: D,
  help: string,
): Option<Valued<readonly Cidr[], D>> {
  return option(listType(cidrType), fallback, help)
}

export function url<const D extends Default<string>>(
  fallback: D,
  help: string,
  schemes?: readonly string[],
): Option<Valued<string, D>> {
  return option(urlType(schemes), fallback, help)
}

/** An existing, readable file, as an absolute path. */
export function file<const D extends Default<string>>(
  fallback: D,
  help: string,
): Option<Valued<string, D>> {
  return option(fileType, fallback, help)
}

/** A readable file of certificates or keys, as an absolute path. */
export function pem<const D extends Default<string>>(
  fallback: D,
  help: string,
): Option<Valued<string, D>> {
  return option(pemType, fallback, help)
}

/** A directory that can be written to, as an absolute path. */
export function directory<const D extends Default<string>>(
  fallback: D,
  help: string,
): Option<Valued<string, D>> {
  return option(directoryType, fallback, help)
}

/** A list; a single value is accepted as a list of one. */
export function list<T, const D extends Default<readonly unknown[]>>(
  of: Type<T>,
  fallback: D,
  help: string,
  limits: ListLimits = {},
): Option<Valued<readonly T[], D>> {
  return option(listType(of, limits), fallback, help)
}

/** A map with free keys, in the order in which they are written. */
export function map<K, V, const D extends Default<Readonly<Record<string, unknown>>>>(
  key: Type<K>,
  value: Type<V>,
  fallback: D,
  help: string,
): Option<Valued<ReadonlyMap<K, V>, D>> {
  return option(mapType(key, value), fallback, help)
}

/** A map with fixed keys. */
export function record<
  M extends OptionMap,
  const D extends Default<Readonly<Record<string, unknown>>>,
>(options: M, fallback: D, help: string): Option<Valued<ValuesOf<M>, D>> {
  return option(recordType(options), fallback, help)
}

export function oneOf<const T extends readonly Type<unknown>[], const D extends Default<unknown>>(
  types: T,
  fallback: D,
  help: string,
): Option<Valued<T[number] extends Type<infer V> ? V : never, D>> {
  return option(oneOfType(types), fallback, help)
}

/** An access rule: its name, `all`, `none`, or the rule written in place. */
export function access<const D extends Default<string | readonly unknown[]>>(
  fallback: D,
  help: string,
): Option<Valued<AccessRule, D>> {
  return option(accessType, fallback, help)
}

/** A shaper rule: its name, `none`, `infinity`, or the rule written in place. */
export function shaperRule<const D extends Default<string | number | readonly unknown[]>>(
  fallback: D,
  help: string,
): Option<Valued<ShaperRule, D>> {
  return option(shaperRuleType, fallback, help)
}

/** Access rules by MQTT topic filter, in the order in which they are written. */
export function topicFilterMap<const D extends Default<Readonly<Record<string, unknown>>>>(
  fallback: D,
  help: string,
): Option<Valued<ReadonlyMap<string, AccessRule>, D>> {
  return option(mapType(topicFilterType, accessType), fallback, help)
}
