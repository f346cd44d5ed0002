import { entryOf } from '../options/node.ts'
import { flagType } from '../options/scalar-types.ts'
import { ParseContext } from '../options/context.ts'
import type { ConfigNode, MapEntry, MapNode } from '../options/node.ts'
import type { Rewriting } from './legacy.ts'

/** Flags of ejabberd_http that became request handlers. */
const handlers: Readonly<Record<string, readonly [path: string, handler: string]>> = {
  captcha: ['/captcha', 'ejabberd_captcha'],
  register: ['/register', 'mod_register_web'],
  web_admin: ['/admin', 'ejabberd_web_admin'],
  http_bind: ['/bosh', 'mod_bosh'],
  xmlrpc: ['/', 'ejabberd_xmlrpc'],
}

/** Listeners whose certificates are chosen among `certfiles` by the name that the client asks for. */
const certificatesByName = ['ejabberd_c2s', 'ejabberd_s2s_in', 'ejabberd_http']

export function rewriteListener(listener: MapNode, path: string, rewriting: Rewriting): MapNode {
  const module = entryOf(listener, 'module')?.value
  const name = module?.kind === 'scalar' ? module.text : ''
  const kept = listener.entries.flatMap((entry): readonly MapEntry[] => {
    const { key } = entry
    if (key === 'inet' || key === 'inet6') {
      rewriting.dropped(entry, path, 'ip')
      return []
    }
    if (key === 'access_commands') {
      rewriting.dropped(entry, path, 'api_permissions')
      return []
    }
    if (key === 'certfile' && certificatesByName.includes(name)) {
      rewriting.renamed(entry, path, 'an item of the top-level option "certfiles"')
      rewriting.certfiles.push(entry.value)
      return []
    }
    if (key === 'turn_ip' && name === 'ejabberd_stun') {
      rewriting.renamed(entry, path, '"turn_ipv4_address"')
      return [{ ...entry, key: 'turn_ipv4_address' }]
    }
    if (key === 'http_poll' && name === 'ejabberd_http') {
      rewriting.dropped(entry, path, 'request_handlers')
      return []
    }
    return [entry]
  })
  return {
    ...listener,
    entries: name === 'ejabberd_http' ? rewriteHandlers(kept, path, rewriting) : kept,
  }
}

function rewriteHandlers(
  entries: readonly MapEntry[],
  path: string,
  rewriting: Rewriting,
): readonly MapEntry[] {
  const written = entries.find(({ key }) => key === 'request_handlers')
  // What is no map of names is left for the type of the option to complain about.
  if (written !== undefined && written.value.kind !== 'map') return entries
  let list = written?.value.kind === 'map' ? [...written.value.entries] : []
  list = list.map((entry) => {
    const { value } = entry
    if (value.kind !== 'scalar' || value.text !== 'mod_http_bind') return entry
    rewriting.warn(value.at, path, '"mod_http_bind" is an old name, it is read as "mod_bosh"')
    return { ...entry, value: { ...value, text: 'mod_bosh' } }
  })
  let place: MapEntry | undefined = written
  const rest = entries.filter((entry) => {
    const handler = Object.hasOwn(handlers, entry.key) ? handlers[entry.key] : undefined
    if (handler === undefined) return true
    const [prefix, module] = handler
    if (!isOn(entry.value)) {
      rewriting.dropped(entry, path, 'request_handlers')
      return false
    }
    rewriting.renamed(entry, path, `the request handler "${prefix}: ${module}"`)
    place ??= entry
    const value: ConfigNode = { kind: 'scalar', text: module, plain: true, at: entry.value.at }
    const added = { key: prefix, keyAt: entry.keyAt, value }
    // The first prefix that matches wins, so "/" has to come last.
    if (prefix === '/') list.push(added)
    else list.unshift(added)
    return false
  })
  if (place === undefined) return rest
  const value: MapNode = { kind: 'map', entries: list, at: place.value.at }
  const handled = { key: 'request_handlers', keyAt: place.keyAt, value }
  return written === undefined
    ? [...rest, handled]
    : rest.map((entry) => (entry.key === 'request_handlers' ? handled : entry))
}

function isOn(node: ConfigNode): boolean {
  return flagType.parse(node, ParseContext.create()) === true
}
