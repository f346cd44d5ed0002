import { formatIpAddress, parseIpAddress } from '../../util/cidr.ts'
import { entryOf, isNothing } from '../options/node.ts'
import { completeOptions, readOptions } from '../options/option.ts'
import { didYouMean } from '../options/suggest.ts'
import { anyType } from '../options/container-types.ts'
import { ParsedOptions } from './config.ts'
import { listenerOptions, streamOnlyOptions } from './listener-options.ts'
import type { ParseContext } from '../options/context.ts'
import type { ConfigNode, MapNode } from '../options/node.ts'
import type { Scope } from '../options/option.ts'
import type { ListenerConfig } from './config.ts'
import type { ListenerValues } from './listener-options.ts'
import type { ConfigSchema } from './schema.ts'

/** Reads the value of `listen`; listeners that are not built yet are left out with a warning. */
export function readListeners(
  node: ConfigNode,
  schema: ConfigSchema,
  ctx: ParseContext,
  scope: Scope,
): readonly ListenerConfig[] {
  if (node.kind !== 'list') {
    if (!isNothing(node)) ctx.expected('a list of listeners', node)
    return []
  }
  const listeners: ListenerConfig[] = []
  for (const [index, item] of node.items.entries()) {
    const listener = readListener(item, schema, ctx.at(index), scope)
    if (listener === undefined) continue
    const clash = clashOf(listener, listeners)
    if (clash !== undefined) ctx.at(index).report(item.at, clash)
    listeners.push(listener)
  }
  return listeners
}

function readListener(
  node: ConfigNode,
  schema: ConfigSchema,
  ctx: ParseContext,
  scope: Scope,
): ListenerConfig | undefined {
  if (node.kind !== 'map') {
    ctx.expected('a map with port and module', node)
    return undefined
  }
  const name = moduleName(node)
  if (name === undefined) {
    ctx.report(node.at, 'the option "module" is required')
    return undefined
  }
  const own = schema.listeners.get(name.text)
  if (own === undefined) {
    reportUnknown(name.text, name.node, node, schema, ctx)
    return undefined
  }
  const all = { ...own, ...listenerOptions }
  const written = readOptions(all, withoutMissingHandlers(node, schema, ctx), ctx)
  if (written === undefined) return undefined
  // Splitting what was written gives either side its own defaults only.
  const ofOwn = new Map([...written].filter(([key]) => !Object.hasOwn(listenerOptions, key)))
  const ofAll = new Map([...written].filter(([key]) => Object.hasOwn(listenerOptions, key)))
  const common = completeOptions(listenerOptions, ofAll, scope)
  const options = new ParsedOptions(own, ofOwn, scope)
  if (common.transport === 'udp') refuseStreamOptions(node, ctx)
  return { id: idOf(common, ctx.path), module: name.text, common, options, at: node.at }
}

function moduleName(
  node: MapNode,
): { readonly text: string; readonly node: ConfigNode } | undefined {
  const value = entryOf(node, 'module')?.value
  if (value?.kind !== 'scalar' || isNothing(value)) return undefined
  return { text: value.text, node: value }
}

function reportUnknown(
  name: string,
  at: ConfigNode,
  listener: MapNode,
  schema: ConfigSchema,
  ctx: ParseContext,
): void {
  if (schema.notBuilt.listeners.has(name)) {
    const port = entryOf(listener, 'port')?.value
    const where = port?.kind === 'scalar' ? `, nothing listens on port ${port.text}` : ''
    ctx.report(at.at, `the listener "${name}" is not supported yet${where}`, 'warning')
    anyType.parse(listener, ctx)
    return
  }
  const known = [...schema.listeners.keys(), ...schema.notBuilt.listeners]
  ctx.report(at.at, `unknown listener "${name}"${didYouMean(name, known)}`)
}

/** Takes out request handlers that are not built yet, each with a warning. */
function withoutMissingHandlers(node: MapNode, schema: ConfigSchema, ctx: ParseContext): MapNode {
  const entry = entryOf(node, 'request_handlers')
  if (entry?.value.kind !== 'map') return node
  const handlersCtx = ctx.at('request_handlers')
  const kept = entry.value.entries.filter(({ key, value }) => {
    if (value.kind !== 'scalar' || schema.handlers.has(value.text)) return true
    const name = value.text
    if (schema.notBuilt.handlers.has(name)) {
      const message = `the request handler "${name}" is not supported yet, "${key}" is not answered`
      handlersCtx.report(value.at, message, 'warning')
      return false
    }
    const known = [...schema.handlers, ...schema.notBuilt.handlers]
    handlersCtx.report(value.at, `unknown request handler "${name}"${didYouMean(name, known)}`)
    return true
  })
  const value: MapNode = { ...entry.value, entries: kept }
  return {
    ...node,
    entries: node.entries.map((other) => (other === entry ? { ...entry, value } : other)),
  }
}

function refuseStreamOptions(node: MapNode, ctx: ParseContext): void {
  for (const { key, keyAt } of node.entries) {
    if (!streamOnlyOptions.includes(key)) continue
    ctx.report(keyAt, `the option "${key}" cannot be used with "transport: udp"`)
  }
}

function idOf(common: ListenerValues, path: string): string {
  // Any free port: each of these is a listener of its own.
  if (common.port === 0) return `${common.transport} ${addressText(common.ip)}:0 ${path}`
  if (typeof common.port === 'string') return `${common.transport} ${common.port}`
  return `${common.transport} ${addressText(common.ip)}:${common.port}`
}

/** An address in one form, so that `::` and `0:0::0` are the same. */
function addressText(ip: string): string {
  const address = parseIpAddress(ip)
  if (address === undefined) return ip
  return address.family === 4 ? formatIpAddress(address) : `[${formatIpAddress(address)}]`
}

/** Why a listener cannot stand beside those before it. */
function clashOf(listener: ListenerConfig, others: readonly ListenerConfig[]): string | undefined {
  const { port, ip, transport } = listener.common
  // The kernel picks a port for each of those that ask for any.
  if (port === 0) return undefined
  for (const other of others) {
    const place = `the listener at ${other.at.toString()}`
    if (other.id === listener.id) return `it is the same port and address as ${place}`
    const samePort = other.common.port === port && other.common.transport === transport
    if (!samePort || typeof port === 'string') continue
    if (!sameFamily(ip, other.common.ip)) continue
    if (isWildcard(ip) || isWildcard(other.common.ip)) {
      return `its address overlaps with ${place}: one of them listens on every address`
    }
  }
  return undefined
}

function sameFamily(a: string, b: string): boolean {
  return parseIpAddress(a)?.family === parseIpAddress(b)?.family
}

function isWildcard(ip: string): boolean {
  const text = addressText(ip)
  return text === '0.0.0.0' || text === '[::]'
}
