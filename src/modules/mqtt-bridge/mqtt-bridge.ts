import { randomBytes } from 'node:crypto'
import { currentConfig } from '../../core/current-config.ts'
import { defineModule } from '../../core/module.ts'
import type { ModuleContext } from '../../core/module.ts'
import { jidOption, option } from '../../core/options.ts'
import type { ValuesOf } from '../../core/options.ts'
import { hosts } from '../../core/shared.ts'
import { BridgeRows, bridgeMigrations } from '../../mqtt/bridge/bridge-rows.ts'
import type { BridgeSettings } from '../../mqtt/bridge/settings.ts'
import type { Broker } from '../../mqtt/broker.ts'
import { brokersOf } from '../../mqtt/brokers.ts'
import { maxPacketBytes } from '../../mqtt/packet/size.ts'
import { domainpart, localpart } from '../../xmpp/jid/jid.ts'
import { Bridges } from './bridges.ts'
import type { Owner } from './bridges.ts'
import { serversType } from './server-type.ts'
import { mqttBridgeStatus } from './status-command.ts'

const options = {
  servers: option(
    serversType,
    {},
    'Other brokers by URL (mqtt, mqtts, mqtt5, mqtt5s, ws, wss, ws5, wss5), and what is handed on to them and taken from them.',
  ),
  replication_user: jidOption(
    'admin@@HOST@',
    'In whose name messages of other brokers are published here; access_publish holds for them.',
  ),
} as const

type Context = ModuleContext<ValuesOf<typeof options>>

const tickMs = 1000

/** Connects the MQTT broker of a host with other brokers. */
export const mqttBridge = defineModule({
  name: 'mod_mqtt_bridge',
  specs: ['MQTT 5.0', 'MQTT 3.1.1'],
  requires: ['mod_mqtt'],
  options,
  async start(ctx) {
    const broker = ctx.use<Broker>('mod_mqtt')
    await ctx.store.migrate('mod_mqtt_bridge', bridgeMigrations)
    const { clock, metrics, log } = ctx
    const bridges = new Bridges(
      {
        broker,
        profile: {
          brokers: brokersOf(ctx.services),
          log,
          maxPacketBytes,
          verifiesCertificates: false,
        },
        rows: new BridgeRows(ctx.store),
        brokerId: `${randomBytes(6).toString('hex')}@${ctx.host}`,
        clock,
        metrics,
        log,
      },
      ownerOf(ctx),
    )
    ctx.onStop(() => bridges.stop())
    ctx.every(tickMs, () => bridges.tick())
    ctx.command(mqttBridgeStatus)
    await bridges.apply(serversOf(ctx))
    return bridges
  },
  /** Bridges that stay the same keep their connections. */
  async reload(ctx) {
    const { modules } = ctx.service(hosts).get(ctx.host)
    await modules.find<Bridges>('mod_mqtt_bridge')?.apply(serversOf(ctx), ownerOf(ctx))
  },
})

function ownerOf({ options }: Context): Owner {
  const { replication_user: user } = options
  return { user: localpart(user), host: domainpart(user) }
}

/** With the authorities that the whole server trusts, where a broker has none of its own. */
function serversOf(ctx: Context): readonly BridgeSettings[] {
  const caFile = ctx.service(currentConfig).value.global.ca_file
  return ctx.options.servers.map((settings) => ({
    ...settings,
    tls: { ...settings.tls, caFile: settings.tls.caFile ?? caFile },
  }))
}
