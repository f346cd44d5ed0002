import assert from 'node:assert/strict'
import { test } from 'node:test'
import { roster } from '../../src/modules/roster/roster.ts'
import { maxListedBytes } from '../../src/modules/roster/limits.ts'
import { jid } from '../../src/xmpp/jid/jid.ts'
import { createPresence } from '../../src/xmpp/stanza/stanza.ts'
import { ModuleServer } from '../support/module-server.ts'

const query = `xmlns='jabber:iq:roster'`

test('a roster does not grow beyond what its client can get in one stanza', async () => {
  await using server = await ModuleServer.start([roster], { mod_roster: {} })
  await using juliet = await server.login('juliet')
  const groups = Array.from({ length: 100 }, (_, i) => `<group>${i}${'x'.repeat(1000)}</group>`)
  const add = async (jid: string, content: string): Promise<string | undefined> => {
    juliet.send(
      `<iq type='set' id='s'><query ${query}><item jid='${jid}'>${content}</item></query></iq>`,
    )
    const answer = await juliet.next('iq')
    return answer.attr('type') === 'error'
      ? answer.child('error')?.elements()[0]?.name
      : answer.attr('type')
  }
  let items = 0
  let outcome: string | undefined
  while (items < 100) {
    outcome = await add(`a${items}@localhost`, groups.join(''))
    if (outcome !== 'result') break
    items++
  }
  assert.equal(outcome, 'resource-constraint')
  assert.equal(items, Math.floor(maxListedBytes / (1002 * 100)))
  // What is there can become smaller, but no larger again.
  assert.equal(await add('a0@localhost', ''), 'result')
  assert.equal(await add('b@localhost', ''), 'result')
  assert.equal(await add('a0@localhost', groups.join('')), 'result')
  assert.equal(await add('b@localhost', groups.join('')), 'resource-constraint')
  juliet.send(`<iq type='get' id='g'><query ${query}/></iq>`)
  const all = (await juliet.next('iq')).child('query', 'jabber:iq:roster')
  assert.equal(all?.elements().length, items + 1)
})

test('a client with many contacts stays when all of them answer at once', async () => {
  await using server = await ModuleServer.start([roster], { mod_roster: {} })
  const contacts = 400
  const resources = 40
  for (let i = 0; i < contacts; i++) {
    await server.run('add_rosteritem', 'juliet', 'localhost', `u${i}`, 'far.example', '', '', 'to')
  }
  const { router } = server.xmpp
  router.setRemote((stanza) => {
    if (stanza.kind !== 'presence' || stanza.type !== 'probe') return
    for (let i = 0; i < resources; i++) {
      router.route(createPresence('available', { from: jid(`${stanza.to}/${i}`), to: stanza.from }))
    }
  })
  await using juliet = await server.login('juliet', { isAvailable: true })
  for (let i = 0; i < contacts * resources; i++) await juliet.next('presence')
  await juliet.receivesNothing()
})
