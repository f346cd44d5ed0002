import { err, ok } from '../../util/result.ts'
import type { Result } from '../../util/result.ts'
import { domainpart, isDomain, localpart, parseJid } from '../jid/jid.ts'
import type { HostName, Jid } from '../jid/jid.ts'
import { streamsNs } from '../xml/namespaces.ts'
import type { StreamHead } from '../xml/stream-parser.ts'
import type { StreamCondition } from './stream-error.ts'

/** A head that may be answered. */
export interface CheckedHead {
  readonly to: HostName | undefined
  readonly from: Jid | undefined
  /** The major version of XMPP, whatever the minor one; below 1 there are no stream features (RFC 6120 §4.7.5). */
  readonly version: number
  readonly lang: string | undefined
}

/** BCP 47 §4.4.1: room enough for any language tag in use. */
const maxLangBytes = 35

/** Checks the head of a stream that a peer opened towards us; `contentNs` is what that kind of stream has. */
export function checkHead(
  head: StreamHead,
  contentNs: string,
): Result<CheckedHead, StreamCondition> {
  const { name, ns, attrs } = head
  if (ns !== streamsNs || head.contentNs !== contentNs) return err('invalid-namespace')
  if (name !== 'stream') return err('bad-format')
  const version = versionOf(attrs['version'])
  if (version === undefined || version > 1) return err('unsupported-version')
  const lang = attrs['xml:lang']
  if (lang !== undefined && Buffer.byteLength(lang) > maxLangBytes) return err('policy-violation')
  const to = attrs['to'] === undefined ? undefined : parseJid(attrs['to'])
  if (to !== undefined && !(to.ok && isDomain(to.value))) return err('improper-addressing')
  if (to === undefined && version >= 1) return err('improper-addressing')
  const from = attrs['from'] === undefined ? undefined : parseJid(attrs['from'])
  if (from !== undefined && !from.ok) return err('invalid-from')
  return ok({
    to: to === undefined ? undefined : domainpart(to.value),
    from: from?.value,
    version,
    lang: lang === '' ? undefined : lang,
  })
}

/** RFC 6120 §4.7.1: a client's `from` is its account, so it is one of the host. */
export function isFromOfHost(from: Jid | undefined, host: HostName): boolean {
  return from === undefined || localpart(from) === '' || domainpart(from) === host
}

/** The major number, 0 if there is none. */
function versionOf(text: string | undefined): number | undefined {
  if (text === undefined) return 0
  const match = /^(\d{1,4})\.\d{1,4}$/.exec(text)
  return match === null ? undefined : Number(match[1])
}
