import assert from 'node:assert/strict'
import { test } from 'node:test'
import { jid } from '../../xmpp/jid/jid.ts'
import { readStanza } from '../../xmpp/stanza/stanza.ts'
import { parseElement } from '../../xmpp/xml/parse-element.ts'
import { storability } from './storability.ts'
import type { StoreEmptyBody } from './storability.ts'

const body = '<body>hi</body>'
const active = `<active xmlns='http://jabber.org/protocol/chatstates'/>`
const hint = (name: string): string => `<${name} xmlns='urn:xmpp:hints'/>`
const receipt = `<received xmlns='urn:xmpp:receipts' id='a'/>`

/** Type, content, and what happens with `store_empty_body` unless_chat_state, true and false. */
const rows: readonly (readonly [string, string, string])[] = [
  // XEP-0160 §3
  ['chat', body, 'store store store'],
  ['normal', body, 'store store store'],
  ['normal', '<subject>hi</subject>', 'store store refuse'],
  ['headline', body, 'drop drop drop'],
  ['error', body, 'drop drop drop'],
  ['groupchat', body, 'refuse refuse refuse'],
  // XEP-0085 §5.6
  ['chat', active, 'drop store drop'],
  ['chat', `${active}<thread>t</thread>`, 'drop store drop'],
  ['chat', `${active}${body}`, 'store store store'],
  ['chat', `${active}${receipt}`, 'store store refuse'],
  ['chat', receipt, 'store store refuse'],
  ['chat', '', 'drop store drop'],
  // XEP-0334 §4.2, §4.4
  ['chat', `${body}${hint('no-store')}`, 'refuse refuse refuse'],
  ['chat', `${body}${hint('no-storage')}`, 'refuse refuse refuse'],
  ['chat', `${active}${hint('store')}`, 'store store store'],
  ['chat', `${body}${hint('store')}${hint('no-store')}`, 'store store store'],
  ['chat', `${body}${hint('no-copy')}`, 'store store store'],
  // XEP-0013 §2.4: it was kept before.
  ['chat', `${body}<offline xmlns='http://jabber.org/protocol/offline'/>`, 'refuse refuse refuse'],
]

test('keeps what is of use later, and no more', () => {
  for (const [type, content, expected] of rows) {
    const element = parseElement(
      `<message xmlns='jabber:client' type='${type}'>${content}</message>`,
    )
    assert.ok(element.ok)
    const stanza = readStanza(element.value, jid('a@b/c'), jid('d@e'))
    assert.ok(stanza.ok && stanza.value.kind === 'message')
    const message = stanza.value
    const settings: readonly StoreEmptyBody[] = ['unless_chat_state', true, false]
    const found = settings.map((setting) => storability(message, setting)).join(' ')
    assert.equal(found, expected, `${type} ${content}`)
  }
})
