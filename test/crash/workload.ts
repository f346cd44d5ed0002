import { callServer } from '../../src/admin/control-socket.ts'
import { xml } from '../../src/xmpp/xml/element.ts'
import type { JournalWriter, Operation, OperationKind } from './journal.ts'
import { MqttClient } from './mqtt-client.ts'
import type { Random } from './random.ts'
import { XmppClient } from './xmpp-client.ts'

export const host = 'localhost'
export const password = 'secret'

export interface Target {
  readonly dataDir: string
  readonly ports: { readonly xmpp: number; readonly mqtt: number }
}

/** Operations of each kind that are on their way at any time: all of them together are what a crash leaves unacknowledged. */
const windows = { registration: 4, roster: 10, offline: 15, retained: 40, publication: 40 }
/** Long ones make a commit take longer, so that more of them are caught in the middle. */
const maxFiller = { message: 4096, value: 16_384, publication: 65_536 }
const counts = { owners: 6, contacts: 30, senders: 3, recipients: 4, topics: 50 }

/**
 * Asks for everything that the server promises to keep, and writes down what it says.
 *
 * What counts as an acknowledgement: of a registration the answer on the control socket; of a roster change the IQ result (RFC
 * 6121 §2.3.2); of what is published the PUBACK, or with QoS 2 the PUBCOMP. A message to somebody who is offline has none of
 * its own. But stanzas between two addresses are dealt with in order (RFC 6120 §10.1), so the answer to a request that was
 * sent to the same address right behind the message says that the message has been taken care of.
 */
export class Workload {
  readonly #target: Target
  readonly #round: number
  readonly #random: Random
  readonly #journal: JournalWriter
  readonly #owners: XmppClient[] = []
  readonly #senders: XmppClient[] = []
  readonly #publishers: MqttClient[] = []
  #subscriber: MqttClient | undefined
  /** Contacts that are there once all that was sent has been done. */
  readonly #contacts = new Set<string>()
  #lastNumber = 0
  /** Called right after an acknowledgement has been written down. */
  onAcknowledged: (kind: OperationKind) => void = () => undefined

  constructor(target: Target, round: number, random: Random, journal: JournalWriter) {
    this.#target = target
    this.#round = round
    this.#random = random
    this.#journal = journal
  }

  /** Signs everybody in. Nothing may go wrong here, as nobody is killed yet. */
  async prepare(): Promise<void> {
    const { mqtt } = this.#target.ports
    const names = [
      ...this.#names('owner', counts.owners),
      ...this.#names('sender', counts.senders),
      ...this.#names('recipient', counts.recipients),
      this.#name('device'),
    ]
    const registered = await Promise.all(names.map((name) => this.#register(name)))
    if (registered.includes(false)) throw new Error('Cannot register the accounts of the round')
    for (const user of this.#names('owner', counts.owners)) {
      this.#owners.push(await this.#signIn(user))
    }
    for (const user of this.#names('sender', counts.senders)) {
      const sender = await this.#signIn(user)
      this.#senders.push(sender)
    }
    const userName = `${this.#name('device')}@${host}`
    for (const clientIdentifier of this.#names('publisher', 2)) {
      const options = { port: mqtt, clientIdentifier, userName, password }
      this.#publishers.push(await MqttClient.connect(options))
    }
    for (const session of [this.#name('away'), this.#name('here')]) {
      const client = await MqttClient.connect(
        sessionOptions(mqtt, session, this.#name('device')),
        ({ payload }) => this.#journal.received(session, labelOf(Buffer.from(payload).toString())),
      )
      if ((await client.subscribe(topicOf(session), 1)) !== 'acknowledged') {
        throw new Error('Cannot subscribe')
      }
      this.#journal.session(session, this.#name('device'))
      if (session === this.#name('away')) await client.end()
      else this.#subscriber = client
    }
  }

  /** Works until the server is gone. */
  async run(): Promise<void> {
    await Promise.all([
      goOn(windows.registration, () => this.#register(this.#name(`user-${this.#next()}`))),
      ...this.#owners.map((owner, index) =>
        goOn(windows.roster, () => this.#changeRoster(owner, this.#name(`owner-${index}`))),
      ),
      ...this.#senders.map((sender) => goOn(windows.offline, () => this.#write(sender))),
      goOn(windows.retained, () => this.#retain()),
      goOn(windows.publication, () => this.#publish()),
      this.#subscriber?.closed,
    ])
  }

  #next(): number {
    return ++this.#lastNumber
  }

  #name(what: string): string {
    return `r${this.#round}-${what}`
  }

  /** For a text that nobody else sends. */
  #label(what: keyof typeof maxFiller): string {
    return `${what}-${this.#next()}-${this.#random.below(maxFiller[what])}`
  }

  #names(what: string, count: number): readonly string[] {
    return Array.from({ length: count }, (_, index) => this.#name(`${what}-${index}`))
  }

  #signIn(user: string): Promise<XmppClient> {
    return XmppClient.connect({ port: this.#target.ports.xmpp, user, password })
  }

  /** Sends an operation and writes down the answer; false when there was none, as the server is gone. */
  async #do(
    operation: Operation,
    send: () => Promise<'acknowledged' | 'refused' | 'lost'>,
  ): Promise<boolean> {
    const id = this.#journal.sent(operation)
    const answer = await send()
    if (answer === 'lost') return false
    this.#journal.answered(id, answer)
    if (answer === 'acknowledged') this.onAcknowledged(operation.kind)
    return true
  }

  #register(user: string): Promise<boolean> {
    return this.#do({ kind: 'registration', user, password }, async () => {
      const words = ['register', user, host, password]
      const answer = await callServer(this.#target.dataDir, { words })
      if (answer === undefined) return 'lost'
      return answer.exit === 0 ? 'acknowledged' : 'refused'
    })
  }

  /** The group has to change together with the name. */
  #changeRoster(client: XmppClient, owner: string): Promise<boolean> {
    const contact = `contact-${this.#random.below(counts.contacts)}@${host}`
    const key = `${owner} ${contact}`
    // Removing who is not there would be refused (RFC 6121 §2.5.3).
    const isRemoved = this.#random.next() < 0.2 && this.#contacts.delete(key)
    if (!isRemoved) this.#contacts.add(key)
    const name = `name-${this.#next()}`
    const ns = 'jabber:iq:roster'
    const item = isRemoved
      ? xml('item', ns, { jid: contact, subscription: 'remove' })
      : xml('item', ns, { jid: contact, name }, xml('group', ns, {}, groupOf(name)))
    const operation = { kind: 'roster', owner, contact, ...(isRemoved ? {} : { name }) } as const
    return this.#do(operation, async () => {
      const answer = await client.request('set', xml('query', ns, {}, item))
      if (answer === undefined) return 'lost'
      return answer.attr('type') === 'result' ? 'acknowledged' : 'refused'
    })
  }

  #write(sender: XmppClient): Promise<boolean> {
    const to = this.#name(`recipient-${this.#random.below(counts.recipients)}`)
    const body = this.#label('message')
    const messageId = `m${this.#next()}`
    const address = `${to}@${host}`
    return this.#do({ kind: 'offline', to, body }, async () => {
      const attributes = { to: address, id: messageId, type: 'chat' }
      const ns = 'jabber:client'
      let isRefused = false
      const stopListening = sender.onError(messageId, () => {
        isRefused = true
      })
      sender.send(xml('message', ns, attributes, xml('body', ns, {}, textOf(body))))
      const answer = await sender.request('get', xml('ping', 'urn:xmpp:ping'), address)
      stopListening()
      if (answer === undefined) return 'lost'
      return isRefused ? 'refused' : 'acknowledged'
    })
  }

  #retain(): Promise<boolean> {
    const topic = `${retainedTopics(this.#round)}/${this.#random.below(counts.topics)}`
    const isRemoved = this.#random.next() < 0.2
    const label = isRemoved ? undefined : this.#label('value')
    const payload = label === undefined ? '' : textOf(label)
    const operation = {
      kind: 'retained',
      topic,
      ...(label === undefined ? {} : { payload: label }),
    } as const
    const message = { topic, payload: Buffer.from(payload), qos: 1, retain: true } as const
    return this.#do(operation, async () => (await this.#publishers[0]?.publish(message)) ?? 'lost')
  }

  #publish(): Promise<boolean> {
    const session = this.#name(this.#random.next() < 0.5 ? 'away' : 'here')
    const qos = this.#random.next() < 0.25 ? 2 : 1
    const payload = this.#label('publication')
    const bytes = Buffer.from(textOf(payload))
    const message = { topic: topicOf(session), payload: bytes, qos } as const
    return this.#do(
      { kind: 'publication', session, qos, payload },
      async () => (await this.#publishers[1]?.publish(message)) ?? 'lost',
    )
  }
}

/** So many at a time, one after the other, until one says false. */
async function goOn(count: number, step: () => Promise<boolean>): Promise<void> {
  const repeat = async (): Promise<void> => {
    let isAnswered = true
    while (isAnswered) isAnswered = await step()
  }
  await Promise.all(Array.from({ length: count }, repeat))
}

export function groupOf(name: string): string {
  return `group of ${name}`
}

/** Journals have only the label of a text, which says how long it is. */
function textOf(label: string): string {
  return `${label}:${'x'.repeat(Number(/\d+$/.exec(label)?.[0]))}`
}

/** A text that is not as it was sent has no label that is known. */
export function labelOf(text: string): string {
  const label = text.slice(0, text.indexOf(':'))
  return textOf(label) === text ? label : `damaged ${label} of ${text.length} characters`
}

export function retainedTopics(round: number): string {
  return `retained/${round}`
}

export function topicOf(session: string): string {
  return `publications/${session}`
}

export function sessionOptions(port: number, session: string, user: string) {
  return {
    port,
    clientIdentifier: session,
    userName: `${user}@${host}`,
    password,
    cleanStart: false,
    sessionExpirySeconds: 3600,
  }
}
