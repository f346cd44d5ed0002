import { LRUCache } from 'lru-cache'
import { accountRemoved } from '../../core/account.ts'
import { hostStarted } from '../../core/current-config.ts'
import { defineModule } from '../../core/module.ts'
import { serverControl } from '../../core/shared.ts'
import {
  elementReceived,
  sessionEnded,
  stanzaQueued,
  streamFeatures,
  streamLost,
} from '../../xmpp/hooks.ts'
import { localpart } from '../../xmpp/jid/jid.ts'
import { router } from '../../xmpp/router.ts'
import { xml } from '../../xmpp/xml/element.ts'
import { createCache } from '../cache.ts'
import { smNamespaces } from './elements.ts'
import { KeptMessages } from './kept-messages.ts'
import { streamMgmtOptions } from './options.ts'
import { StreamManagement } from './stream-management.ts'
import type { EndedSession } from './stream-management.ts'

const features = smNamespaces.map((ns) => xml('sm', ns))

/** Acknowledgements, and sessions that outlive their streams. */
export const streamMgmt = defineModule({
  name: 'mod_stream_mgmt',
  specs: ['XEP-0198 1.6.2'],
  options: streamMgmtOptions,
  async start(ctx) {
    const kept = await KeptMessages.open(ctx.store)
    const control = ctx.service(serverControl)
    const ended: LRUCache<string, EndedSession> =
      createCache({ ...ctx.options, use_cache: true }, ctx.clock) ?? new LRUCache({ max: 1 })
    const management = new StreamManagement({
      host: ctx.host,
      router: ctx.service(router),
      kept,
      ended,
      control,
      clock: ctx.clock,
      log: ctx.log,
      options: () => ctx.options,
    })
    ctx.onStop(() => management.stop())
    ctx.on(streamFeatures, (list, stream) =>
      stream.phase === 'authenticated' ? [...list, ...features] : undefined,
    )
    ctx.on(elementReceived, (stream, element) => {
      const ns = smNamespaces.find((known) => known === element.ns)
      if (ns === undefined || stream.phase === 'anonymous') return undefined
      switch (element.name) {
        case 'enable':
          management.enable(stream, ns, element)
          return 'handled'
        case 'r':
          management.answer(stream, ns)
          return 'handled'
        case 'a':
          management.acknowledged(stream, ns, element)
          return 'handled'
        case 'resume':
          return management.resume(stream, ns, element)
        default:
          return undefined
      }
    })
    // Before others that act on what is queued: what counts is the order on the wire.
    ctx.on(stanzaQueued, (stanza, session) => management.queued(stanza, session), 10)
    ctx.on(streamLost, (session) => management.lost(session))
    ctx.on(sessionEnded, (session) => management.ended(session))
    ctx.on(accountRemoved, async (account) => {
      const outcome = await kept.removeAll(localpart(account)).settled
      if (!outcome.ok) throw outcome.error
    })
    // Those who keep messages for accounts that are away have to be there for it.
    if (control.state === 'started') ctx.background(management.restore())
    else ctx.on(hostStarted, () => management.restore())
    return management
  },
  // Every option is read when it is needed.
  reload: () => undefined,
})
