import assert from 'node:assert/strict'
import { test } from 'node:test'
import { applied } from './subscriptions.ts'
import { newItem } from './item.ts'
import { jid } from '../../xmpp/jid/jid.ts'
import {
  inbound,
  inboundStep,
  inboundSubscribeApproved,
  outbound,
  stateOf,
  subscriptionStates,
} from './subscription-states.ts'
import type { Step, SubscriptionState, SubscriptionType } from './subscription-states.ts'

const states: readonly SubscriptionState[] = [
  'none',
  'none+out',
  'none+in',
  'none+out+in',
  'to',
  'to+in',
  'from',
  'from+out',
  'both',
]
const types: readonly SubscriptionType[] = [
  'subscribe',
  'unsubscribe',
  'subscribed',
  'unsubscribed',
]

/** A cell as the RFC's tables have it: whether it passes, the new state or "-", and the server's answer. */
function cell({ passes, next, reply, approval }: Step): string {
  const words = [passes ? 'yes' : 'no', next ?? '-']
  if (reply !== undefined) words.push(`reply ${reply}`)
  if (approval === 'given') words.push('pre-approve')
  return words.join(' ')
}

/** RFC 6121 A.2, Tables 2 to 5, in the order of the states above: ROUTE?, NEW STATE. */
const outboundTables: Readonly<Record<SubscriptionType, readonly string[]>> = {
  subscribe: [
    'yes none+out',
    'yes -',
    'yes none+out+in',
    'yes -',
    'yes -',
    'yes -',
    'yes from+out',
    'yes -',
    'yes -',
  ],
  unsubscribe: [
    'yes -',
    'yes none',
    'yes -',
    'yes none+in',
    'yes none',
    'yes none+in',
    'yes -',
    'yes from',
    'yes from',
  ],
  subscribed: [
    'no - pre-approve',
    'no - pre-approve',
    'yes from',
    'yes from+out',
    'no - pre-approve',
    'yes both',
    'no -',
    'no -',
    'no -',
  ],
  unsubscribed: [
    'no -',
    'no -',
    'yes none',
    'yes none+out',
    'no -',
    'yes to',
    'yes none',
    'yes none+out',
    'yes to',
  ],
}

/** RFC 6121 A.3, Tables 6 to 9: DELIVER?, NEW STATE, and what the notes say of answers. */
const inboundTables: Readonly<Record<SubscriptionType, readonly string[]>> = {
  subscribe: [
    'yes none+in',
    'yes none+out+in',
    'no -',
    'no -',
    'yes to+in',
    'no -',
    'no - reply subscribed',
    'no - reply subscribed',
    'no - reply subscribed',
  ],
  unsubscribe: [
    'no -',
    'no -',
    'yes none reply unsubscribed',
    'yes none+out reply unsubscribed',
    'no -',
    'yes to reply unsubscribed',
    'yes none reply unsubscribed',
    'yes none+out reply unsubscribed',
    'yes to reply unsubscribed',
  ],
  subscribed: ['no -', 'yes to', 'no -', 'yes to+in', 'no -', 'no -', 'no -', 'yes both', 'no -'],
  unsubscribed: [
    'no -',
    'yes none',
    'no -',
    'yes none+in',
    'yes none',
    'yes none+in',
    'no -',
    'yes from',
    'yes from',
  ],
}

test('processes what the user sends in every state (RFC 6121 A.2)', () => {
  for (const type of types) {
    assert.deepEqual(
      states.map((state) => cell(outbound[type][state])),
      outboundTables[type],
      type,
    )
  }
})

test('processes what the contact sends in every state (RFC 6121 A.3)', () => {
  for (const type of types) {
    assert.deepEqual(
      states.map((state) => cell(inbound[type][state])),
      inboundTables[type],
      type,
    )
    for (const state of states) {
      assert.equal(inboundStep(type, state, false), inbound[type][state])
    }
  }
})

test('lets in who was approved in advance, without asking (RFC 6121 §3.4.2)', () => {
  assert.deepEqual(
    states.map((state) => cell(inboundSubscribeApproved[state])),
    [
      'no from reply subscribed',
      'no from+out reply subscribed',
      'no from reply subscribed',
      'no from+out reply subscribed',
      'no both reply subscribed',
      'no both reply subscribed',
      'no - reply subscribed',
      'no - reply subscribed',
      'no - reply subscribed',
    ],
  )
  assert.equal(inboundStep('subscribe', 'to', true), inboundSubscribeApproved.to)
  for (const type of types.filter((type) => type !== 'subscribe')) {
    for (const state of states) {
      assert.equal(inboundStep(type, state, true), inbound[type][state])
    }
  }
})

test('a cancelled subscription or approval takes a pre-approval back in every state', () => {
  for (const state of states) {
    const item = { ...newItem(jid('a@b')), state, isApproved: true, isListed: true }
    assert.equal(applied(item, outbound.unsubscribed[state]).isApproved, false, state)
    for (const type of types) {
      assert.equal(applied(item, inbound[type][state]).isApproved, true, `${type} in ${state}`)
    }
  }
})

test('a request alone puts nobody into the roster (RFC 6121 §3.1.3)', () => {
  const item = newItem(jid('a@b'))
  const asked = applied(item, inbound.subscribe.none)
  assert.deepEqual([asked.state, asked.isListed], ['none+in', false])
  const accepted = applied(asked, outbound.subscribed['none+in'])
  assert.deepEqual([accepted.state, accepted.isListed], ['from', true])
  const denied = applied(asked, outbound.unsubscribed['none+in'])
  assert.deepEqual([denied.state, denied.isListed], ['none', false])
})

test('makes a state of its parts and leaves out what cannot be', () => {
  for (const state of states) assert.equal(stateOf(subscriptionStates[state]), state)
  const both = { isAsked: true, isRequested: true }
  assert.equal(stateOf({ subscription: 'to', ...both }), 'to+in')
  assert.equal(stateOf({ subscription: 'from', ...both }), 'from+out')
  assert.equal(stateOf({ subscription: 'both', ...both }), 'both')
})
