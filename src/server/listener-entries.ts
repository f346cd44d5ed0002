import type { Config } from '../core/config/config.ts'
import type { ListenerEntry } from '../core/net/port-listener.ts'
import type { OptionMap } from '../core/options.ts'

/**
 * The listeners as they are opened: the top-level `c2s_ciphers`, `c2s_cafile`, `c2s_dhfile` and `c2s_protocol_options` win over
 * what a listener of clients says itself, as in ejabberd. TLS comes before the client has named its host, so that these are the
 * values outside any host.
 */
export function listenerEntries(config: Config): readonly ListenerEntry[] {
  const { c2s_ciphers, c2s_cafile, c2s_dhfile, c2s_protocol_options } = config.global
  const top = Object.fromEntries(
    Object.entries({
      ciphers: c2s_ciphers,
      cafile: c2s_cafile,
      dhfile: c2s_dhfile,
      protocol_options: c2s_protocol_options,
    }).filter(([, value]) => value !== undefined),
  )
  if (Object.keys(top).length === 0) return config.listeners
  return config.listeners.map((listener) => {
    if (listener.module !== 'ejabberd_c2s') return listener
    const { options } = listener
    return {
      ...listener,
      options: {
        values: { ...options.values, ...top },
        as: <M extends OptionMap>(map: M) => ({ ...options.as(map), ...top }),
      },
    }
  })
}
