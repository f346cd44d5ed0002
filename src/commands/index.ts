import type { Command } from '../core/command.ts'
import { banCommands } from './accounts-bans.ts'
import { accountCommands } from './accounts.ts'
import { serverCommands } from './server.ts'
import { sessionCommands } from './sessions.ts'

/** The commands of the server itself; modules add their own while they run. */
export const commands: readonly Command[] = [
  ...accountCommands,
  ...banCommands,
  ...serverCommands,
  ...sessionCommands,
]
