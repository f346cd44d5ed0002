import type { BareJid, HostName } from '../../xmpp/jid/jid.ts'
import {
  domainpart,
  isBare,
  localpart,
  makeJid,
  parseJid,
  prepLocalpart,
} from '../../xmpp/jid/jid.ts'

/** XMPP: a user name is the localpart of an account of the stream's host (RFC 6120 §6.3.8). */
export function localAccount(host: HostName): (userName: string) => BareJid | undefined {
  return (userName) => {
    const local = prepLocalpart(userName)
    return local.ok ? makeJid(local.value, host, '') : undefined
  }
}

/** MQTT: a user name is a bare JID, or a localpart of the default host. */
export function jidAccount(defaultHost: HostName): (userName: string) => BareJid | undefined {
  const ofHost = localAccount(defaultHost)
  return (userName) => {
    if (!userName.includes('@')) return ofHost(userName)
    const jid = parseJid(userName)
    return jid.ok && isBare(jid.value) && localpart(jid.value) !== '' ? jid.value : undefined
  }
}

/**
 * Whether an authorization identity is that of the account itself, the only one that we let it act as: absent, its bare
 * JID (RFC 6120 §6.3.8), or, as ejabberd takes it, its localpart.
 */
export function isOwnAuthzid(authzid: string, account: BareJid): boolean {
  if (authzid === '') return true
  if (!authzid.includes('@')) return localAccount(domainpart(account))(authzid) === account
  const jid = parseJid(authzid)
  return jid.ok && jid.value === account
}
