import type { ContextExtension } from '../core/module.ts'
import { HandlerTable, targetsOf } from './handlers.ts'
import type { ServiceHost, TargetOptions } from './handlers.ts'
import type { Router } from './router.ts'

/** Gives modules the verbs of XMPP; what they add goes when they stop. */
export function xmppContext(router: Router): ContextExtension {
  return (context, undo) => {
    const { host } = context
    const tables = (options: TargetOptions | undefined): HandlerTable[] => {
      const found = router.host(host)?.tables
      if (found === undefined) throw new Error(`The host "${host}" has no XMPP router`)
      return targetsOf(options).map((target) => found[target])
    }
    context.handleIq = (type, ns, name, handler, options) => {
      for (const table of tables(options)) undo(table.addIqHandler(type, ns, name, handler))
    }
    context.advertise = (feature, options) => {
      for (const table of tables(options)) undo(table.addFeature(feature))
    }
    context.identity = (identity, options) => {
      for (const table of tables(options)) undo(table.addIdentity(identity))
    }
    context.serviceHost = (domain, handler, options = {}) => {
      const table = new HandlerTable()
      const { isListed = true, name } = options
      undo(router.addService({ domain, parent: host, table, handler, isListed, name }))
      return {
        domain,
        handleIq: (type, ns, element, answer) => {
          undo(table.addIqHandler(type, ns, element, answer))
        },
        advertise: (feature) => {
          undo(table.addFeature(feature))
        },
        identity: (identity) => {
          undo(table.addIdentity(identity))
        },
      } satisfies ServiceHost
    }
  }
}
