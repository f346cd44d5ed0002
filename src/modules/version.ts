import { release, type } from 'node:os'
import { currentConfig } from '../core/current-config.ts'
import { defineModule } from '../core/module.ts'
import { flag } from '../core/options.ts'
import { result } from '../xmpp/stanza/stanza-error.ts'
import { xml } from '../xmpp/xml/element.ts'

const ns = 'jabber:iq:version'

/** Tells the name and version of the server. */
export const version = defineModule({
  name: 'mod_version',
  specs: ['XEP-0092 1.1'],
  options: { show_os: flag(true, 'Whether the operating system is told, too.') },
  start(ctx) {
    ctx.advertise(ns)
    ctx.handleIq('get', ns, 'query', (iq) =>
      result(
        iq,
        xml(
          'query',
          ns,
          {},
          xml('name', ns, {}, 'Linnet'),
          xml('version', ns, {}, ctx.service(currentConfig).value.global.version),
          ctx.options.show_os ? xml('os', ns, {}, `${type()} ${release()}`) : undefined,
        ),
      ),
    )
  },
  reload() {
    // Options are read with each request.
  },
})
