// Speaks MQTT 5 over a WebSocket with mqtt.js: publishes one message to itself.
//   node websocket.mjs ws://localhost:5280/mqtt user1@localhost Pass test/2 "Hello"
import { connectAsync } from 'mqtt'

const [url = '', username = '', password = '', topic = '', text = ''] = process.argv.slice(2)
const client = await connectAsync(url, { username, password, protocolVersion: 5 })
client.on('message', (from, payload) => {
  console.log(`${from} ${payload}`)
  client.end()
})
const [{ reasonString, qos } = {}] = await client.subscribeAsync(topic, { qos: 1 })
console.log(`subscribed to ${topic} ${reasonString ?? `with QoS ${qos}`}`)
await client.publishAsync(topic, text, { qos: 1 })
