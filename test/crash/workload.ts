import { setTimeout as wait } from 'node:timers/promises'
import { callServer } from '../../src/admin/control-socket.ts'
import { xml } from '../../src/xmpp/xml/element.ts'
import type { Answer, JournalWriter, Operation, OperationKind, OperationOf } from './journal.ts'
import { MqttClient } from './mqtt-client.ts'
import type { Random } from './random.ts'
import { SessionClient } from './session-client.ts'
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
const maxFiller = { message: 4096, value: 16_384, publication: 65_536, will: 1024 }
const counts = { owners: 6, contacts: 30, senders: 3, recipients: 4, topics: 50, connected: 20 }
/** A connection that is dropped now and then brings so many packets at most: by time, a slow disk would get nowhere. */
const mostPackets = 60
const willEveryMs = 30
/** In one round out of so many things are due that only happen a while after the server is back. */
const patientEvery = 3

/**
 * Asks for everything that the server promises to keep, and writes down what it says.
 *
 * What counts as an acknowledgement: of a registration the answer on the control socket; of a roster change the IQ result (RFC
 * 6121 §2.3.2); of what is published the PUBACK, or with QoS 2 the PUBCOMP. A message to somebody who is offline has none of
 * its own. But stanzas between two addresses are dealt with in order (RFC 6120 §10.1), so the answer to a request that was
 * sent to the same address right behind the message says that the message has been taken care of.
 *
 * Publications come from a session that lasts and go to sessions that last: one is away, one is there, and one loses its
 * connection all the time, as the publisher does. A will and the expiry of a session are promised by CONNACK.
 */
export class Workload {
  readonly #target: Target
  readonly #round: number
  readonly #random: Random
  readonly #journal: JournalWriter
  readonly #owners: XmppClient[] = []
  readonly #senders: XmppClient[] = []
  readonly #sessions: SessionClient[] = []
  /** With wills, until the server is killed. */
  readonly #connected: SessionClient[] = []
  #retainer: MqttClient | undefined
  #publisher: SessionClient | undefined
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
    const clientIdentifier = this.#name('retainer')
    this.#retainer = await MqttClient.connect({ port: mqtt, clientIdentifier, userName, password })
    this.#publisher = await this.#openSession('publisher')
    const filters = (name: string): readonly string[] => [topicOf(this.#name(name))]
    await (
      await this.#openSession('away', [...filters('away'), willTopic(this.#round, '+')])
    ).drop()
    this.#sessions.push(
      await this.#openSession('here', filters('here')),
      await this.#openSession('dropping', filters('dropping')),
    )
    await this.#prepareWills()
    await this.#prepareExpiries()
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
      goOn(1, () => this.#leaveWill()),
      this.#keepConnected(this.#publisher, mostPackets),
      this.#keepConnected(this.#sessions[0], Infinity),
      this.#keepConnected(this.#sessions[1], mostPackets),
    ])
    await Promise.all(this.#connected.map((client) => client.drop()))
  }

  get #isPatient(): boolean {
    return this.#round % patientEvery === 0
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
  async #do(operation: Operation, send: () => Promise<Answer>): Promise<boolean> {
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
    return this.#do(operation, async () => (await this.#retainer?.publish(message)) ?? 'lost')
  }

  #publish(): Promise<boolean> {
    const publisher = this.#publisher
    if (publisher === undefined) throw new Error('Nobody has been prepared')
    const names = ['away', 'here', 'dropping']
    const operation = {
      kind: 'publication',
      session: this.#name(names[this.#random.below(names.length)] ?? ''),
      qos: this.#random.next() < 0.5 ? 2 : 1,
      payload: this.#label('publication'),
      publisher: this.#name('publisher'),
      packetId: publisher.nextPacketId(),
    } as const
    return this.#do(operation, () => publisher.publish(operation.packetId, messageOf(operation)))
  }

  /** A client with a will comes, and is gone a moment later or stays until all is over. */
  async #leaveWill(): Promise<boolean> {
    await wait(this.#random.below(willEveryMs))
    const will = await this.#connectWithWill(this.#random.below(this.#isPatient ? 2 : 1))
    if (will === undefined) return false
    if (this.#random.next() < 0.3 && this.#connected.length < counts.connected) {
      this.#connected.push(will.client)
    } else await will.client.drop()
    return true
  }

  async #connectWithWill(delaySeconds: number) {
    const name = this.#name(`will-${this.#next()}`)
    const payload = this.#label('will')
    const qos = this.#random.next() < 0.5 ? 2 : 1
    const client = new SessionClient(
      {
        ...sessionOptions(this.#target.ports.mqtt, name, this.#name('device')),
        // Without a delay the session may end with the connection.
        ...(delaySeconds === 0 && this.#random.next() < 0.5 && { sessionExpirySeconds: 0 }),
        will: {
          topic: willTopic(this.#round, name),
          payload: Buffer.from(textOf(payload)),
          qos,
          retain: false,
          properties: { willDelayInterval: delaySeconds },
        },
      },
      { outgoing: new Map(), incoming: new Set() },
      {},
    )
    const id = this.#journal.sent({ kind: 'will', client: name, qos, payload })
    if (!(await client.connect())) return undefined
    this.#journal.answered(id, 'acknowledged')
    this.onAcknowledged('will')
    return { client, id, name }
  }

  /** Wills that wait when the server is killed, and some that nobody may ever hear of. */
  async #prepareWills(): Promise<void> {
    const connect = async (delaySeconds: number) => {
      const will = await this.#connectWithWill(delaySeconds)
      if (will === undefined) throw new Error('Cannot connect with a will')
      return will
    }
    for (const delaySeconds of this.#isPatient ? [0, 0, 1] : [0, 0]) {
      this.#connected.push((await connect(delaySeconds)).client)
    }
    for (const delaySeconds of [1, 2]) await (await connect(delaySeconds)).client.drop()
    const polite = await connect(0)
    await polite.client.end()
    const returned = await connect(2)
    await returned.client.drop()
    const again = await this.#connectSession(returned.name)
    this.#connected.push(again)
    // What was sent before is stored by the time the answer to this comes.
    if (!(await this.#retain())) throw new Error('Cannot publish')
    for (const { id } of [polite, returned]) this.#journal.cancelled(id)
  }

  /** Sessions that end while the server is down or soon after it is back. */
  async #prepareExpiries(): Promise<void> {
    for (const [index, isLeft] of [true, true, !this.#isPatient].entries()) {
      const session = this.#name(`short-${index}`)
      const seconds = 1
      const client = await this.#connectSession(session, seconds)
      let leftAt: number | undefined
      if (isLeft) {
        await client.drop()
        leftAt = Date.now()
      } else this.#connected.push(client)
      const times = leftAt === undefined ? { seconds } : { seconds, leftAt }
      const id = this.#journal.sent({ kind: 'expiry', session, ...times })
      if (!(await this.#retain())) throw new Error('Cannot publish')
      this.#journal.answered(id, 'acknowledged')
    }
  }

  async #openSession(what: string, filters: readonly string[] = []): Promise<SessionClient> {
    const session = this.#name(what)
    this.#journal.session(session, this.#name('device'))
    const client = await this.#connectSession(session)
    if (filters.length > 0) await client.subscribe(filters)
    return client
  }

  async #connectSession(session: string, sessionExpirySeconds?: number): Promise<SessionClient> {
    const options = sessionOptions(this.#target.ports.mqtt, session, this.#name('device'))
    const journal = this.#journal
    const client = new SessionClient(
      { ...options, ...(sessionExpirySeconds !== undefined && { sessionExpirySeconds }) },
      { outgoing: new Map(), incoming: new Set() },
      {
        received: ({ payload, packetId, qos }) =>
          journal.received(session, labelOfBytes(payload), qos === 2 ? packetId : 0),
        released: (packetId) => journal.released(session, packetId),
        pubrec: (packetId) => journal.pubrec(session, packetId),
      },
    )
    if (!(await client.connect())) throw new Error(`Cannot open the session ${session}`)
    return client
  }

  /** Drops the connection now and then, and comes back until the server is gone. */
  async #keepConnected(client: SessionClient | undefined, most: number): Promise<void> {
    if (client === undefined) return
    do {
      const enough = new Promise<void>((resolve) => {
        if (most !== Infinity) client.whenHeard(1 + this.#random.below(most), resolve)
      })
      await Promise.race([client.closed, enough])
      await client.drop()
    } while (await client.connect())
    client.giveUp()
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

/** What is sent for a publication in the journal. */
export function messageOf({ session, qos, payload }: OperationOf<'publication'>) {
  return { topic: topicOf(session), payload: Buffer.from(textOf(payload)), qos }
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

export function labelOfBytes(bytes: Uint8Array): string {
  return labelOf(Buffer.from(bytes).toString())
}

export function willTopic(round: number, client: string): string {
  return `wills/${round}/${client}`
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
