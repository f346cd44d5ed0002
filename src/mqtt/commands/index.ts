import type { Command } from '../../core/command.ts'
import { clientCommands } from './clients.ts'
import { mqttPublishCommand } from './publish.ts'
import { retainedCommands } from './retained.ts'
import { mqttSessionCommands } from './sessions.ts'
import { mqttStats } from './stats.ts'
import { subscriptionCommands } from './subscriptions.ts'

/** What administrators tell and ask the broker. They are there once, however many hosts have one. */
export const mqttCommands: readonly Command[] = [
  ...clientCommands,
  ...mqttSessionCommands,
  ...subscriptionCommands,
  ...retainedCommands,
  mqttPublishCommand,
  mqttStats,
]
