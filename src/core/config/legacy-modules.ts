import { joinPath } from '../options/context.ts'
import type { ConfigNode, MapEntry, MapNode, Place } from '../options/node.ts'
import type { Rewriting } from './legacy.ts'

/** Options that no module has any more. */
const removedEverywhere: Readonly<Record<string, string>> = {
  iqdisc: '',
  ldap_group_cache_size: 'cache_size',
  ldap_group_cache_validity: 'cache_life_time',
  ldap_user_cache_size: 'cache_size',
  ldap_user_cache_validity: 'cache_life_time',
}

/** Options that a module had once, with what to use instead. */
const removedFrom: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  mod_blocking: { db_type: '' },
  mod_carboncopy: {
    ram_db_type: '',
    use_cache: '',
    cache_size: '',
    cache_missed: '',
    cache_life_time: '',
  },
  mod_http_api: { admin_ip_access: 'api_permissions' },
}

const renamedModules: Readonly<Record<string, string>> = {
  mod_http_bind: 'mod_bosh',
  mod_vcard_xupdate_odbc: 'mod_vcard_xupdate',
}

/** Modules that had a variant for SQL, which became their option `db_type`. */
const sqlVariants = new Set(
  [
    'announce',
    'blocking',
    'caps',
    'last',
    'muc',
    'offline',
    'privacy',
    'private',
    'pubsub',
    'roster',
    'shared_roster',
    'vcard',
  ].map((name) => `mod_${name}_odbc`),
)

const removedPlugins = new Set(
  'buddy club dag dispatch hometree mb mix online private public'.split(' '),
)

export function rewriteModules(
  modules: ConfigNode,
  scope: string,
  withoutDialback: boolean,
  rewriting: Rewriting,
): ConfigNode {
  if (modules.kind !== 'map') return modules
  const path = joinPath(scope, 'modules')
  const entries = modules.entries.flatMap((entry): readonly MapEntry[] => {
    if (entry.key === 'mod_echo' || entry.key === 'mod_muc_occupantid') {
      rewriting.warn(entry.keyAt, path, `the module "${entry.key}" has no effect any more`)
      return []
    }
    if (entry.key === 'mod_s2s_dialback' && withoutDialback) return []
    const current = currentModule(entry, path, rewriting)
    if (current.value.kind !== 'map') return [current]
    return [{ ...current, value: rewriteOptions(current.key, current.value, path, rewriting) }]
  })
  return { ...modules, entries }
}

function currentModule(entry: MapEntry, path: string, rewriting: Rewriting): MapEntry {
  const name = Object.hasOwn(renamedModules, entry.key) ? renamedModules[entry.key] : undefined
  if (name !== undefined) {
    rewriting.renamed(entry, path, `"${name}"`)
    return { ...entry, key: name }
  }
  const isSql = sqlVariants.has(entry.key)
  if (!isSql && entry.key !== 'mod_vcard_ldap') return entry
  const key = entry.key.replace(/_(?:odbc|ldap)$/, '')
  const type = isSql ? 'sql' : 'ldap'
  rewriting.renamed(entry, path, `"${key}" with "db_type: ${type}"`)
  return { ...entry, key, value: withDatabase(entry.value, type, entry.keyAt) }
}

function withDatabase(options: ConfigNode, type: string, at: Place): ConfigNode {
  const written = options.kind === 'map' ? options.entries : []
  const value: ConfigNode = { kind: 'scalar', text: type, plain: true, at }
  const entries = [
    { key: 'db_type', keyAt: at, value },
    ...written.filter(({ key }) => key !== 'db_type'),
  ]
  return { kind: 'map', entries, at: options.at }
}

function rewriteOptions(
  module: string,
  options: MapNode,
  modules: string,
  rewriting: Rewriting,
): MapNode {
  const path = joinPath(modules, module)
  const gone = {
    ...removedEverywhere,
    ...(Object.hasOwn(removedFrom, module) ? removedFrom[module] : {}),
  }
  const entries = options.entries.flatMap((entry): readonly MapEntry[] => {
    const { key, value } = entry
    const instead = Object.hasOwn(gone, key) ? gone[key] : undefined
    if (instead !== undefined) {
      rewriting.dropped(entry, path, instead)
      return []
    }
    if (key === 'db_type' || key === 'ram_db_type') {
      return [{ ...entry, value: rewriting.database(value, path) }]
    }
    if (key === 'deref_aliases') {
      rewriting.renamed(entry, path, '"ldap_deref_aliases"')
      return [{ ...entry, key: 'ldap_deref_aliases' }]
    }
    if (module === 'mod_pubsub' && key === 'plugins' && value.kind === 'list') {
      const items = value.items.filter((item) => {
        const isGone = item.kind === 'scalar' && removedPlugins.has(item.text)
        if (isGone)
          rewriting.warn(item.at, path, `the plugin "${item.text}" does not exist any more`)
        return !isGone
      })
      return [{ ...entry, value: { ...value, items } }]
    }
    return [entry]
  })
  return { ...options, entries }
}
