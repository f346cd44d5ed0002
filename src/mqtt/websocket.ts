import { defineRequestHandler } from '../http/handler.ts'
import { accept, webSocketProfile } from './listener.ts'

/** What clients ask for; MQTT 3.1 had its own name (MQTT5 6.0.0-3, 6.0.0-4). */
const subprotocols = ['mqtt', 'mqttv3.1'] as const

/** MQTT over WebSocket (MQTT5 6): `request_handlers: {/mqtt: mod_mqtt}`. Packets may span frames and frames packets. */
export const mqttWebSocket = defineRequestHandler({
  name: 'mod_mqtt',
  handle: () => ({
    status: 200,
    headers: { 'content-type': 'text/plain; charset=utf-8' },
    body: 'This is an address for MQTT over WebSocket.\n',
  }),
  upgrade({ subprotocols: offered }, context) {
    const subprotocol = offered.find((name) => subprotocols.some((known) => known === name))
    // COMPAT: some clients ask for none, and ejabberd lets them in.
    if (subprotocol === undefined && offered.length > 0) {
      return { status: 400, body: 'The WebSocket subprotocol must be "mqtt"\n' }
    }
    return {
      subprotocol,
      // MQTT5 6.0.0-1, 6.0.0-2.
      mode: 'binary',
      maxMessageBytes: Infinity,
      open: (transport) => accept(transport, webSocketProfile(context)),
    }
  },
})
