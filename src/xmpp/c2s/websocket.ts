import { defineRequestHandler } from '../../http/handler.ts'
import { xmppService } from '../xmpp.ts'
import { webSocketSettings } from './c2s.ts'
import { ClientConnection } from './client-connection.ts'

const page = `<!DOCTYPE html>
<html lang="en"><title>XMPP over WebSocket</title>
<p>Here XMPP clients connect by WebSocket (RFC 7395). There is nothing to see for browsers.
</html>
`

/** Streams of clients over WebSockets (RFC 7395); limits, shaper and access are those of the first `ejabberd_c2s`. */
export const webSocket = defineRequestHandler({
  name: 'ejabberd_http_ws',
  handle: (request) =>
    request.method === 'GET' || request.method === 'HEAD'
      ? { status: 200, headers: { 'Content-Type': 'text/html; charset=utf-8' }, body: page }
      : { status: 405, headers: { Allow: 'GET, HEAD' } },
  upgrade(request, context) {
    const settings = webSocketSettings(context)
    const { clients } = context.services.get(xmppService)
    return {
      // RFC 7395 §3.1: it is `xmpp`. COMPAT: clients that ask for nothing or for something else are let in, as by ejabberd.
      subprotocol: request.subprotocols.includes('xmpp') ? 'xmpp' : request.subprotocols[0],
      mode: 'text',
      maxMessageBytes: settings.limits.maxStanzaBytes,
      open: (transport) => new ClientConnection(transport, clients, settings).start(),
    }
  },
})
