import type { Command, CommandValue, Field } from '../../core/command.ts'
import { defineCommand } from '../../core/command.ts'
import type { Broker } from '../broker.ts'
import type { Subscription } from '../subscription.ts'
import { levelsMatch, sharedFilterOf } from '../topic.ts'
import { brokerOf, clientId, filter, filterOf, host, sessionOf, user } from './arguments.ts'
import { Page, pageArguments } from './page.ts'
import { forEachInSlices } from './slices.ts'

const subscriptionFields: readonly Field[] = [
  { name: 'filter', type: 'string' },
  { name: 'qos', type: 'integer' },
  { name: 'no_local', type: 'string' },
  { name: 'retain_as_published', type: 'string' },
  { name: 'identifier', type: 'integer' },
]

export const subscriptionCommands: readonly Command[] = [
  defineCommand({
    name: 'mqtt_list_subscriptions',
    tags: ['mqtt'],
    summary:
      'List the subscriptions of an MQTT client by filter, after the last one that is known already',
    args: [user, host, clientId, ...pageArguments],
    result: {
      name: 'subscriptions',
      type: { list: { name: 'subscription', type: { tuple: subscriptionFields } } },
    },
    async run([name, hostName, id, after, limit], context) {
      const session = sessionOf(brokerOf(hostName, context), name, id)
      const page = new Page<Subscription>(after, limit)
      await forEachInSlices(session.subscriptions?.values() ?? [], (subscription) => {
        page.offer(subscription.filter, subscription)
      })
      return page.items().map(rowOf)
    },
  }),
  defineCommand({
    name: 'mqtt_list_subscribers',
    tags: ['mqtt'],
    summary:
      'List who is subscribed to a filter, or to one that is part of it ("#" is everything), by JID and filter; "after" is both of the last one, with a tab between them',
    args: [host, filter, ...pageArguments],
    result: {
      name: 'subscribers',
      type: {
        list: {
          name: 'subscriber',
          type: { tuple: [{ name: 'jid', type: 'string' }, ...subscriptionFields] },
        },
      },
    },
    async run([hostName, text, after, limit], context) {
      const broker = brokerOf(hostName, context)
      const wanted = filterOf(text)
      const page = new Page<Subscription>(after, limit)
      await forEachInSlices(allOf(broker), (subscription) => {
        if (subscription === undefined) return
        const { session, filter: own } = subscription
        const inner = sharedFilterOf(own)?.filter ?? own
        // A wildcard of theirs is a level like any other.
        if (own !== wanted && !levelsMatch(wanted, 0, inner, 0)) return
        page.offer(`${session.key}\t${own}`, subscription)
      })
      return page.items().map((subscription) => [subscription.session.key, ...rowOf(subscription)])
    },
  }),
]

/** Sessions without subscriptions count as one step. */
function* allOf(broker: Broker): Generator<Subscription | undefined, void, undefined> {
  for (const { subscriptions } of broker.sessions.byKey.values()) {
    if (subscriptions === undefined) yield undefined
    else yield* subscriptions.values()
  }
}

function rowOf(subscription: Subscription): readonly CommandValue[] {
  const { filter: own, qos, noLocal, retainAsPublished, identifier } = subscription
  return [own, qos, `${noLocal}`, `${retainAsPublished}`, identifier]
}
