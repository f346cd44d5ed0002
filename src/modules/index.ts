import type { ModuleDefinition } from '../core/module.ts'
import { carboncopy } from './carboncopy.ts'
import { clientState } from './client-state.ts'
import { disco } from './disco.ts'
import { fail2ban } from './fail2ban.ts'
import { last } from './last.ts'
import { mam } from './mam/mam.ts'
import { mqttBridge } from './mqtt-bridge/mqtt-bridge.ts'
import { mqtt } from './mqtt.ts'
import { offline } from './offline/offline.ts'
import { ping } from './ping.ts'
import { roster } from './roster/roster.ts'
import { streamMgmt } from './stream-mgmt/stream-mgmt.ts'
import { time } from './time.ts'
import { version } from './version.ts'

/** All modules that this build has. */
export const modules: readonly ModuleDefinition[] = [
  carboncopy,
  clientState,
  disco,
  fail2ban,
  last,
  mam,
  mqtt,
  mqttBridge,
  offline,
  ping,
  roster,
  streamMgmt,
  time,
  version,
]
