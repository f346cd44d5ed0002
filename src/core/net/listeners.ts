import { sameValue } from '../config/diff.ts'
import type { ListenerModule } from '../listener.ts'
import { connectionLimit } from './descriptor-limit.ts'
import { PortListener, tlsSettingsOf } from './port-listener.ts'
import type { ListenerEntry, ListenerParts, OpenSockets } from './port-listener.ts'

/** All ports of the server. Connections are not tied to them: closing a port leaves its connections alone. */
export class Listeners {
  readonly #modules: ReadonlyMap<string, ListenerModule>
  readonly #parts: ListenerParts
  readonly #sockets: OpenSockets = new Set()
  /** In the order of the configuration. */
  #open = new Map<string, PortListener>()

  constructor(
    modules: Iterable<ListenerModule>,
    parts: Omit<ListenerParts, 'maxConnections'> & { readonly maxConnections?: number },
  ) {
    this.#modules = new Map([...modules].map((module) => [module.name, module]))
    this.#parts = { maxConnections: connectionLimit(), ...parts }
  }

  /** What is open, with the real ports, in the order of the configuration. */
  get open(): readonly PortListener[] {
    return [...this.#open.values()]
  }

  /** Connections of all listeners, those of closed ones included. */
  get connections(): number {
    return this.#sockets.size
  }

  /** Opens these ports at start. When one fails, all are closed again; what failed comes back as sentences. */
  async start(entries: readonly ListenerEntry[]): Promise<readonly string[]> {
    const problems = await this.reload(entries)
    if (problems.length > 0) await this.close()
    return problems
  }

  /**
   * Makes the open ports those of `entries`: closes what is gone, leaves alone what stayed the same, gives changed options to protocols
   * that can take them and opens the port anew for others. What cannot be opened comes back as sentences.
   */
  async reload(entries: readonly ListenerEntry[]): Promise<readonly string[]> {
    const wanted = keyed(entries)
    const kept = new Map<string, PortListener>()
    for (const [key, listener] of this.#open) {
      const entry = wanted.get(key)
      const stays = entry !== undefined && this.#adapt(listener, entry)
      if (stays) kept.set(key, listener)
      // One after the other, so that a port is free before it is opened anew.
      else await this.#close(listener)
    }
    const problems: string[] = []
    const open = new Map<string, PortListener>()
    for (const [key, entry] of wanted) {
      const listener = kept.get(key) ?? (await this.#openPort(entry, problems))
      if (listener !== undefined) open.set(key, listener)
    }
    this.#open = open
    return problems
  }

  /** Closes all ports. */
  async close(): Promise<void> {
    const open = this.open
    this.#open = new Map()
    for (const listener of open) await this.#close(listener)
  }

  /** Waits for the connections to end, and destroys those that are left after `graceMs`. */
  async closeConnections(graceMs: number): Promise<void> {
    const timer = this.#parts.clock.after(graceMs, () => {
      for (const socket of this.#sockets) socket.destroy()
    })
    for (const socket of this.#sockets) {
      // Not events.once, which fails on errors.
      if (!socket.closed) await new Promise((resolve) => socket.once('close', resolve))
    }
    timer.cancel()
  }

  /** Whether the listener serves the entry as it is now, with new options of its own at most. */
  #adapt(listener: PortListener, entry: ListenerEntry): boolean {
    const before = listener.entry
    if (before.module !== entry.module || !sameValue(before.common, entry.common)) return false
    if (sameValue(before.options.values, entry.options.values)) return true
    const module = this.#modules.get(entry.module)
    if (module === undefined) return false
    const options = entry.options.as(module.options)
    const tlsBefore = module.tls?.(before.options.as(module.options))
    const isSameTls =
      sameValue(tlsBefore, module.tls?.(options)) &&
      sameValue(tlsSettingsOf(before.options.values), tlsSettingsOf(entry.options.values))
    return isSameTls && listener.takeOptions(entry, options)
  }

  async #openPort(entry: ListenerEntry, problems: string[]): Promise<PortListener | undefined> {
    const module = this.#modules.get(entry.module)
    if (module === undefined) {
      problems.push(`There is no listener module "${entry.module}"`)
      return undefined
    }
    const opened = await PortListener.open(entry, module, this.#parts, this.#sockets)
    if (!opened.ok) {
      problems.push(opened.error)
      return undefined
    }
    this.#parts.log.info({ protocol: entry.module, listener: opened.value.name }, 'Listening')
    return opened.value
  }

  async #close(listener: PortListener): Promise<void> {
    try {
      await listener.close()
      this.#parts.log.info({ listener: listener.name }, 'Stopped listening')
    } catch (error) {
      this.#parts.log.error({ err: error, listener: listener.name }, 'Cannot close listener')
    }
  }
}

/** By identity (port or path, address, transport); several may ask for any port. */
function keyed(entries: readonly ListenerEntry[]): Map<string, ListenerEntry> {
  const byKey = new Map<string, ListenerEntry>()
  for (const entry of entries) {
    let key = entry.id
    for (let n = 2; byKey.has(key) && entry.common.port === 0; n++) key = `${entry.id} ${n}`
    byKey.set(key, entry)
  }
  return byKey
}
