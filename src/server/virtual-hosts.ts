import type { Hosts } from '../core/shared.ts'
import type { VirtualHost } from './virtual-host.ts'

/** The hosts as they are served now, in the order of the configuration. */
export class VirtualHosts implements Hosts {
  readonly #hosts = new Map<string, VirtualHost>()

  get names(): readonly string[] {
    return [...this.#hosts.keys()]
  }

  get all(): readonly VirtualHost[] {
    return [...this.#hosts.values()]
  }

  find(name: string): VirtualHost | undefined {
    return this.#hosts.get(name)
  }

  get(name: string): VirtualHost {
    const host = this.#hosts.get(name)
    if (host === undefined) throw new Error(`The host "${name}" is not served`)
    return host
  }

  add(host: VirtualHost): void {
    this.#hosts.set(host.name, host)
  }

  remove(name: string): void {
    this.#hosts.delete(name)
  }
}
