import { test } from 'node:test'
import { ModuleServer } from '../../test/support/module-server.ts'
import { version } from './version.ts'

// shows: module mod_version
// shows: option mod_version.show_os
// shows: option version
test('tells name and version, and the system if it may (XEP-0092)', async () => {
  await using server = await ModuleServer.start(
    [version],
    { mod_version: {} },
    { config: { version: '1.2.3' } },
  )
  await using romeo = await server.login('romeo')
  const request = `<iq type='get' id='v' to='localhost'><query xmlns='jabber:iq:version'/></iq>`
  const answer = (os: string): string =>
    `<iq type='result' id='v'><query xmlns='jabber:iq:version'><name>Linnet</name><version>1.2.3</version>${os}</query></iq>`
  romeo.send(request)
  await romeo.receives(answer('<os>{any}</os>'))
  await server.apply({ mod_version: { show_os: false } })
  romeo.send(request)
  await romeo.receives(answer(''))
})
