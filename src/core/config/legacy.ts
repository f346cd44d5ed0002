import { problemAt } from '../options/problem.ts'
import { rewriteListener } from './legacy-listeners.ts'
import { rewriteModules } from './legacy-modules.ts'
import type { ConfigNode, ListNode, MapEntry, MapNode, Place } from '../options/node.ts'
import type { Problem } from '../options/problem.ts'

/** Options whose name changed. */
const renamed: Readonly<Record<string, string>> = {
  auth_password_types_hidden_in_scram1: 'auth_password_types_hidden_in_sasl1',
  deref_aliases: 'ldap_deref_aliases',
  extauth_instances: 'extauth_pool_size',
  new_sql_schema: 'sql_schema_multihost',
}

/** Options that mean nothing any more, with what to use instead. */
const removed: Readonly<Record<string, string>> = {
  access: 'access_rules',
  ca_path: 'ca_file',
  commands: 'api_permissions',
  commands_admin_access: 'api_permissions',
  ejabberdctl_access_commands: 'api_permissions',
  extauth_cache: 'auth_use_cache',
  iqdisc: '',
  ldap_group_cache_size: 'cache_size',
  ldap_group_cache_validity: 'cache_life_time',
  ldap_local_filter: '',
  ldap_user_cache_size: 'cache_size',
  ldap_user_cache_validity: 'cache_life_time',
  log_rate_limit: '',
  log_rotate_date: '',
  route_subdomains: 's2s_access',
}

const databases = new Map([
  ['internal', 'mnesia'],
  ['odbc', 'sql'],
])

const acmeDirectory = 'https://acme-v02.api.letsencrypt.org/directory'

/** What the rewriting of one configuration gathers. */
export class Rewriting {
  readonly problems: Problem[] = []
  /** Certificates named in old places, which belong to the top-level option `certfiles`. */
  readonly certfiles: ConfigNode[] = []

  warn(place: Place, path: string, message: string): void {
    this.problems.push(problemAt(place, path, message, 'warning'))
  }

  /** Tells that an old name was read as a new one. */
  renamed(entry: MapEntry, path: string, to: string): void {
    this.warn(entry.keyAt, path, `"${entry.key}" is an old name, it is read as ${to}`)
  }

  /** Tells that something means nothing any more. */
  dropped(entry: MapEntry, path: string, instead: string): void {
    const advice = instead === '' ? '' : `, use "${instead}" instead`
    this.warn(entry.keyAt, path, `the option "${entry.key}" has no effect any more${advice}`)
  }

  /** `internal` and `odbc` are old names of back ends. */
  database(node: ConfigNode, path: string): ConfigNode {
    if (node.kind === 'list') {
      return { ...node, items: node.items.map((item) => this.database(item, path)) }
    }
    const name = node.kind === 'scalar' ? databases.get(node.text) : undefined
    if (node.kind !== 'scalar' || name === undefined) return node
    this.warn(node.at, path, `"${node.text}" is an old name, it is read as "${name}"`)
    return { ...node, text: name }
  }
}

/** Brings a configuration for older versions of ejabberd up to date, as ejabberd does when it loads one. */
export function rewriteOldNames(root: MapNode, rewriting: Rewriting): MapNode {
  const top = rewriteScope(root, '', rewriting)
  const entries = top.entries.map((entry) => {
    if (entry.key === 'listen' && entry.value.kind === 'list') {
      const items = entry.value.items.map((item, index) =>
        item.kind === 'map' ? rewriteListener(item, `listen[${index}]`, rewriting) : item,
      )
      return { ...entry, value: { ...entry.value, items } }
    }
    const isPerHost = entry.key === 'host_config' || entry.key === 'append_host_config'
    if (!isPerHost || entry.value.kind !== 'map') return entry
    const hosts = entry.value.entries.map((host) =>
      host.value.kind === 'map'
        ? {
            ...host,
            value: rewriteScope(host.value, `${entry.key}[${JSON.stringify(host.key)}]`, rewriting),
          }
        : host,
    )
    return { ...entry, value: { ...entry.value, entries: hosts } }
  })
  return { ...top, entries: addCertfiles(entries, rewriting.certfiles) }
}

function rewriteScope(scope: MapNode, path: string, rewriting: Rewriting): MapNode {
  const withoutDialback = scope.entries.some(
    ({ key, value }) => key === 's2s_use_starttls' && isText(value, 'required_trusted'),
  )
  const entries = scope.entries.flatMap((entry): readonly MapEntry[] => {
    const { key, value } = entry
    const name = Object.hasOwn(renamed, key) ? renamed[key] : undefined
    if (name !== undefined) {
      rewriting.renamed(entry, path, `"${name}"`)
      return [{ ...entry, key: name }]
    }
    const instead = Object.hasOwn(removed, key) ? removed[key] : undefined
    if (instead !== undefined) {
      rewriting.dropped(entry, path, instead)
      return []
    }
    switch (key) {
      case 'domain_certfile':
      case 'c2s_certfile':
      case 's2s_certfile':
        rewriting.renamed(entry, path, 'an item of "certfiles"')
        rewriting.certfiles.push(value)
        return []
      case 'default_db':
      case 'default_ram_db':
      case 'auth_method':
        return [{ ...entry, value: rewriting.database(value, path) }]
      case 's2s_use_starttls':
        if (value.kind !== 'scalar' || !withoutDialback) return [entry]
        rewriting.warn(
          value.at,
          path,
          '"required_trusted" is an old value, it is read as "required" without mod_s2s_dialback',
        )
        return [{ ...entry, value: { ...value, text: 'required' } }]
      case 'acme':
        return [{ ...entry, value: rewriteAcme(value, path, rewriting) }]
      case 'modules':
        return [{ ...entry, value: rewriteModules(value, path, withoutDialback, rewriting) }]
      default:
        return [entry]
    }
  })
  return { ...scope, entries }
}

function rewriteAcme(node: ConfigNode, path: string, rewriting: Rewriting): ConfigNode {
  if (node.kind !== 'map') return node
  const entries = node.entries.map((entry) => {
    const { value } = entry
    const isOld =
      entry.key === 'ca_url' &&
      value.kind === 'scalar' &&
      URL.parse(value.text)?.host === 'acme-v01.api.letsencrypt.org'
    if (!isOld) return entry
    rewriting.warn(value.at, path, `this ACME directory is gone, it is read as "${acmeDirectory}"`)
    return { ...entry, value: { ...value, text: acmeDirectory } }
  })
  return { ...node, entries }
}

function addCertfiles(
  entries: readonly MapEntry[],
  added: readonly ConfigNode[],
): readonly MapEntry[] {
  const first = added[0]
  if (first === undefined) return entries
  const index = entries.findIndex(({ key }) => key === 'certfiles')
  const present = entries[index]
  if (present === undefined) {
    const value: ListNode = { kind: 'list', items: added, at: first.at }
    return [...entries, { key: 'certfiles', keyAt: first.at, value }]
  }
  const items = present.value.kind === 'list' ? present.value.items : [present.value]
  const value: ListNode = { kind: 'list', items: [...items, ...added], at: present.value.at }
  return entries.with(index, { ...present, value })
}

export function isText(node: ConfigNode, text: string): boolean {
  return node.kind === 'scalar' && node.text === text
}
