import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { FieldServer } from './field-server.ts'
import { password } from './field-server.ts'
import { Folder, Process } from './process.ts'

const folder = join(import.meta.dirname, '../interop/node-red')
const program = join(folder, 'node_modules/node-red/red.js')

/** Why tests with Node-RED cannot run here, for `skip`. */
export const noNodeRed: string | false =
  !existsSync(program) && 'Node-RED is not installed (npm ci --prefix test/interop/node-red)'

/** A node of a flow as Node-RED writes it into its file. */
export type FlowNode = Readonly<Record<string, unknown>> & { readonly id: string }

export interface NodeRedOptions {
  readonly way?: 'mqtt' | 'mqtts' | 'ws' | 'wss'
  readonly version?: 3 | 4 | 5
  readonly user?: string
  readonly clientId?: string
  /** Overrides options of the node `mqtt-broker`. */
  readonly broker?: Readonly<Record<string, unknown>>
  /** The flow; its nodes name the connection `broker`. */
  readonly flow: readonly FlowNode[]
}

/** Node-RED without its editor, running one flow. */
export class NodeRed extends Process {
  readonly #folder: Folder

  private constructor(args: readonly string[], own: Folder) {
    super(args, { program: process.execPath, cwd: own.path, env: { HOME: own.path } })
    this.#folder = own
  }

  /** Resolves when it is connected, and has made its subscriptions. */
  static async start(server: FieldServer, options: NodeRedOptions): Promise<NodeRed> {
    const own = new Folder()
    const write = (name: string, value: unknown): void =>
      writeFileSync(own.join(name), JSON.stringify(value))
    const settings = {
      flowFile: 'flows.json',
      userDir: own.path,
      // The password lies beside the flow, as it is.
      credentialSecret: false,
      httpAdminRoot: false,
      httpNodeRoot: false,
      mqttReconnectTime: 50,
      telemetry: { enabled: false, updateNotification: false },
      logging: { console: { level: 'debug', metrics: false, audit: false } },
    }
    writeFileSync(own.join('settings.js'), `module.exports = ${JSON.stringify(settings)}`)
    // Nodes of its own are looked for here.
    mkdirSync(own.join('node_modules'))
    write('flows.json', [
      { id: 'flow', type: 'tab', label: 'Flow' },
      connectionOf(server, options),
      { id: 'tls', type: 'tls-config', ca: server.cafile, verifyservercert: true },
      ...options.flow.map((node) => ({ z: 'flow', ...node })),
    ])
    const user = `${options.user ?? 'juliet'}@localhost`
    write('flows_cred.json', { broker: { user, password } })
    const subscribed = options.flow
      .filter((node) => node['type'] === 'mqtt in')
      .map((node) => server.subscribed(String(node['topic'])))
    const nodeRed = new NodeRed([program, '--settings', own.join('settings.js')], own)
    try {
      await nodeRed.says(/Connected to broker/)
      await Promise.all(subscribed)
    } catch (error) {
      await nodeRed[Symbol.asyncDispose]()
      throw error
    }
    return nodeRed
  }

  override async [Symbol.asyncDispose](): Promise<void> {
    await super[Symbol.asyncDispose]()
    this.#folder[Symbol.dispose]()
  }
}

function connectionOf(server: FieldServer, options: NodeRedOptions): FlowNode {
  const { way = 'mqtt', version = 4, clientId = 'node-red' } = options
  const isSecure = way === 'mqtts' || way === 'wss'
  const isWeb = way === 'ws' || way === 'wss'
  return {
    id: 'broker',
    type: 'mqtt-broker',
    broker: isWeb ? server.url(way) : 'localhost',
    port: `${server.port(way)}`,
    clientid: clientId,
    autoConnect: true,
    usetls: isSecure,
    ...(isSecure && { tls: 'tls' }),
    protocolVersion: `${version}`,
    keepalive: '60',
    cleansession: true,
    autoUnsubscribe: true,
    ...options.broker,
  }
}
