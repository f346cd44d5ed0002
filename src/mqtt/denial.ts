import type { Connection } from './connection.ts'
import type { Publisher } from './hooks.ts'

/** Lines at the level "info" for each connection: a client that goes on against the rules must not fill the log. */
const maxTold = 10

/** What access rules forbid is counted by whoever forbids it, and logged here; `why` is what the client is told. */
export function logDenial(
  connection: Connection,
  why: string,
  client: Publisher | undefined = connection.client,
): void {
  const { profile } = connection
  connection.denials += 1
  const fields = { jid: client?.jid, ip: connection.transport.peer.ip, why }
  if (connection.denials > maxTold) profile.log.debug(fields, 'Denied by access rules')
  else if (connection.denials < maxTold) profile.log.info(fields, 'Denied by access rules')
  else profile.log.info(fields, 'Denied by access rules; what follows is logged at level "debug"')
}
