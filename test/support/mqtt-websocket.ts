import { once } from 'node:events'
import { connect } from 'node:net'
import { createWebSocketStream, WebSocket } from 'ws'
import { MqttClient } from './mqtt-client.ts'

export interface MqttWebSocketOptions {
  readonly path?: string
  readonly subprotocols?: readonly string[]
  /** Sent before HTTP begins. */
  readonly head?: Uint8Array
}

/** A client that sends packets one by one over a WebSocket, with the subprotocol that the server chose. */
export async function connectByWebSocket(
  port: number,
  options: MqttWebSocketOptions = {},
): Promise<{ readonly client: MqttClient; readonly subprotocol: string }> {
  const { path = '/mqtt', subprotocols = ['mqtt'], head } = options
  const socket = new WebSocket(`ws://127.0.0.1:${port}${path}`, [...subprotocols], {
    perMessageDeflate: false,
    createConnection() {
      const connection = connect({ port, host: '127.0.0.1', noDelay: true })
      if (head !== undefined) connection.write(head)
      return connection
    },
  })
  await once(socket, 'open')
  return { client: new MqttClient(createWebSocketStream(socket)), subprotocol: socket.protocol }
}
