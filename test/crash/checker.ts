import { appendFileSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as wait } from 'node:timers/promises'
import { xml } from '../../src/xmpp/xml/element.ts'
import type { Entry, OperationKind, OperationOf } from './journal.ts'
import { Journal } from './journal.ts'
import { ConnectError, MqttClient } from './mqtt-client.ts'
import type { SessionObserver } from './session-client.ts'
import { SessionClient } from './session-client.ts'
import type { Target } from './workload.ts'
import * as workload from './workload.ts'
import { groupOf, host, labelOf, labelOfBytes, password, retainedTopics } from './workload.ts'
import { XmppClient } from './xmpp-client.ts'

/** What the process is told, as JSON in its only argument. */
export interface CheckerSettings extends Target {
  readonly round: number
  /** Of the driver. */
  readonly journal: string
  /** Where it writes down what it found, one line each. */
  readonly log: string
  /** A copy of the database file as the crash left it. */
  readonly database: string
}

/**
 * `lost`: acknowledged, and not there. `stale`: an older state came back. `torn`: half of an operation is there. `twice`: there more
 * than once. `invented`: nobody sent it, or it was cancelled. `order`: it came before what was sent earlier. `overdue`: it was to
 * end by itself and is there. `unsound`: the database is damaged.
 */
export interface Problem {
  readonly problem:
    'lost' | 'stale' | 'torn' | 'twice' | 'invented' | 'order' | 'overdue' | 'unsound'
  readonly kind: OperationKind | 'database'
  readonly what: string
}

/** What the process says on its output, as JSON. */
export interface Findings {
  /** Acknowledged operations that were looked for. */
  readonly checked: Readonly<Record<OperationKind, number>>
  /** Operations that were done although nobody heard of it any more. */
  readonly doneUnheard: number
  readonly problems: readonly Problem[]
}

/** Nothing came for that long: it will not come any more. Only losses make the checker wait, and some machines are slow. */
const quietMs = 10_000

async function main(settings: CheckerSettings): Promise<void> {
  const checker = new Checker(settings)
  process.stdout.write(`${JSON.stringify(await checker.run())}\n`)
}

/** The clocks of two processes may be asked in the wrong order. */
const toleranceMs = 300

/** Asks a server that has come back, by its protocols, for all that it had acknowledged. */
class Checker {
  readonly #settings: CheckerSettings
  readonly #journal: Journal
  readonly #problems: Problem[] = []
  /** After the server was there again. */
  readonly #startedAt = Date.now()
  #doneUnheard = 0

  constructor(settings: CheckerSettings) {
    this.#settings = settings
    this.#journal = new Journal(settings.journal)
  }

  async run(): Promise<Findings> {
    this.#checkDatabase()
    await Promise.all([
      this.#checkRegistrations(),
      this.#checkRosters(),
      this.#checkOfflineMessages(),
      this.#checkRetained(),
      this.#checkSessions(),
      this.#checkExpiries(),
    ])
    return {
      checked: this.#journal.count('acknowledged'),
      doneUnheard: this.#doneUnheard,
      problems: this.#problems,
    }
  }

  #report(problem: Problem['problem'], kind: Problem['kind'], what: string): void {
    this.#problems.push({ problem, kind, what })
    this.#note(problem, kind, what)
  }

  #note(...words: readonly string[]): void {
    appendFileSync(this.#settings.log, `${words.join(' ')}\n`)
  }

  #checkDatabase(): void {
    using database = new DatabaseSync(this.#settings.database)
    for (const pragma of ['integrity_check', 'foreign_key_check']) {
      for (const row of database.prepare(`PRAGMA ${pragma}`).all()) {
        if (row['integrity_check'] === 'ok') continue
        this.#report('unsound', 'database', JSON.stringify(row))
      }
    }
    this.#note('database', this.#settings.database)
  }

  async #checkRegistrations(): Promise<void> {
    const entries = this.#journal.of('registration')
    await eachOf(entries, 16, async ({ operation, fate }) => {
      const isThere = await this.#canSignIn(operation.user, operation.password)
      this.#note('registration', operation.user, isThere ? 'found' : 'missing')
      if (!isThere && fate === 'acknowledged') this.#report('lost', 'registration', operation.user)
      if (isThere && fate === 'open') this.#doneUnheard += 1
    })
  }

  async #canSignIn(user: string, password: string): Promise<boolean> {
    const { mqtt: port } = this.#settings.ports
    const userName = `${user}@${host}`
    try {
      const client = await MqttClient.connect({ port, clientIdentifier: 'c', userName, password })
      await client[Symbol.asyncDispose]()
      return true
    } catch (error) {
      if (error instanceof ConnectError) return false
      throw error
    }
  }

  async #checkRosters(): Promise<void> {
    const byOwner = Map.groupBy(this.#journal.of('roster'), ({ operation }) => operation.owner)
    await eachOf([...byOwner], 2, async ([owner, changes]) => {
      const items = await this.#readRoster(owner)
      const byContact = Map.groupBy(changes, ({ operation }) => operation.contact)
      for (const [contact, ofContact] of byContact) {
        const item = items.get(contact)
        items.delete(contact)
        this.#note('roster', owner, contact, item?.name ?? 'none')
        this.#judgeState('roster', `${owner} ${contact}`, ofContact, item?.name, ({ name }) => name)
        if (item?.name !== undefined && item.groups !== groupOf(item.name)) {
          this.#report('torn', 'roster', `${owner} ${contact}: ${item.name}, ${item.groups}`)
        }
      }
      for (const contact of items.keys()) this.#report('invented', 'roster', `${owner} ${contact}`)
    })
  }

  async #readRoster(owner: string) {
    await using client = await this.#signIn(owner)
    const answer = await client.request('get', xml('query', 'jabber:iq:roster'))
    const query = answer?.child('query', 'jabber:iq:roster')
    if (query === undefined) throw new Error(`Cannot read the roster of ${owner}`)
    return new Map(
      query.childrenNamed('item').map((item) => {
        const groups = item.childrenNamed('group').map((group) => group.text())
        return [item.attr('jid'), { name: item.attr('name'), groups: groups.join() }]
      }),
    )
  }

  /** What one thing may be now: as the last acknowledged operation left it, or as any that was sent after that would. */
  #judgeState<K extends 'roster' | 'retained'>(
    kind: K,
    what: string,
    entries: readonly Entry<OperationOf<K>>[],
    found: string | undefined,
    stateOf: (operation: OperationOf<K>) => string | undefined,
  ): void {
    const last = entries.findLastIndex(({ fate }) => fate === 'acknowledged')
    const allowed = entries.slice(Math.max(last, 0)).map(({ operation }) => stateOf(operation))
    if (last < 0) allowed.push(undefined)
    if (allowed.includes(found)) {
      if (last < 0 ? found !== undefined : found !== allowed[0]) this.#doneUnheard += 1
      return
    }
    const isOld = entries.some(({ operation }) => stateOf(operation) === found)
    const problem = isOld ? 'stale' : found === undefined ? 'lost' : 'invented'
    this.#report(problem, kind, `${what}: ${found ?? 'none'}`)
  }

  async #checkOfflineMessages(): Promise<void> {
    const byRecipient = Map.groupBy(this.#journal.of('offline'), ({ operation }) => operation.to)
    await eachOf([...byRecipient], 2, async ([recipient, entries]) => {
      await using client = await this.#signIn(recipient)
      const inbox = new Inbox()
      client.onStanza = (stanza) => {
        if (stanza.name === 'message') inbox.put(labelOf(stanza.childText('body') ?? ''))
      }
      client.send(xml('presence', 'jabber:client'))
      const sent = entries.map(({ operation, fate }) => ({ text: operation.body, fate }))
      await inbox.has(sent)
      await client.request('get', xml('ping', 'urn:xmpp:ping'))
      this.#judgeMessages('offline', recipient, sent, inbox.texts)
    })
  }

  async #checkRetained(): Promise<void> {
    const byTopic = Map.groupBy(this.#journal.of('retained'), ({ operation }) => operation.topic)
    const [user] = this.#journal.sessions.values()
    if (user === undefined) return
    const options = { ...workload.sessionOptions(this.#settings.ports.mqtt, 'checker', user) }
    const found = new Map<string, string>()
    const inbox = new Inbox()
    await using client = await MqttClient.connect(
      { ...options, cleanStart: true, sessionExpirySeconds: 0 },
      ({ topic, payload }) => {
        found.set(topic, labelOf(Buffer.from(payload).toString()))
        inbox.put(topic)
      },
    )
    await client.subscribe(`${retainedTopics(this.#settings.round)}/+`, 1)
    // Topics that have to have something, unless a removal was sent that nobody heard of.
    const certain = [...byTopic].filter(([, entries]) => {
      const last = entries.findLastIndex(({ fate }) => fate === 'acknowledged')
      return (
        last >= 0 && entries.slice(last).every(({ operation }) => operation.payload !== undefined)
      )
    })
    await inbox.has(certain.map(([text]) => ({ text, fate: 'acknowledged' })))
    await client.ping()
    for (const [topic, entries] of byTopic) {
      this.#note('retained', topic, found.get(topic) ?? 'none')
      this.#judgeState('retained', topic, entries, found.get(topic), ({ payload }) => payload)
    }
  }

  /** The publishers go on where the crash interrupted them: then all that was sent has to be with all who were to get it. */
  async #checkSessions(): Promise<void> {
    const publications = this.#journal.of('publication')
    const publishers = new Set(publications.map(({ operation }) => operation.publisher))
    await Promise.all(
      [...this.#journal.sessions.keys()].map((session) =>
        publishers.has(session) ? this.#finishPublishing(session) : this.#checkSession(session),
      ),
    )
  }

  async #finishPublishing(session: string): Promise<void> {
    await using client = await this.#resume(session, {})
    for (let quiet = 0, open = client.open; open > 0 && quiet < quietMs; quiet += 10) {
      if (open !== client.open) quiet = 0
      open = client.open
      await wait(10)
    }
    if (client.open > 0) {
      this.#report('lost', 'publication', `${session}: ${client.open} acknowledgements`)
    }
  }

  async #checkSession(session: string): Promise<void> {
    const entries = this.#journal
      .of('publication')
      .filter(({ operation }) => operation.session === session)
    const wills = session === this.#willsSession ? this.#journal.of('will') : []
    // Only what had not been received before the crash has to come; of QoS 1 all of it may come again.
    const before = this.#journal.received.get(session) ?? []
    const known = new Set(before)
    const inbox = new Inbox()
    await using client = await this.#resume(session, {
      received: ({ payload }) => inbox.put(labelOfBytes(payload)),
    })
    const isDue = ({ fate }: Entry): boolean => fate !== 'refused' && fate !== 'cancelled'
    const expected = [
      ...entries.filter((entry) => isDue(entry) && !known.has(entry.operation.payload)),
      ...wills.filter(({ fate }) => fate === 'acknowledged'),
    ]
    await inbox.has(
      expected.map(({ operation }) => ({ text: operation.payload, fate: 'acknowledged' })),
    )
    await client.ping()
    this.#judgeDeliveries(session, [...entries, ...wills], [...before, ...inbox.texts])
    const first = new Set(inbox.texts.filter((text) => !known.has(text)))
    this.#judgeOrder(session, entries, [...first])
  }

  /** It is away in the driver, so all wills reach it here. */
  get #willsSession(): string | undefined {
    return [...this.#journal.sessions.keys()].find((session) => session.endsWith('-away'))
  }

  async #resume(session: string, observer: SessionObserver): Promise<SessionClient> {
    const user = this.#journal.sessions.get(session) ?? ''
    const client = new SessionClient(
      workload.sessionOptions(this.#settings.ports.mqtt, session, user),
      this.#journal.stateOf(session, workload.messageOf),
      observer,
    )
    if (!(await client.connect())) throw new Error(`Cannot resume the session ${session}`)
    if (!client.sessionPresent) this.#report('lost', 'publication', `the session ${session}`)
    return client
  }

  /** Of QoS 1 each at least once, of QoS 2 exactly once. */
  #judgeDeliveries(
    session: string,
    entries: readonly Entry<OperationOf<'publication' | 'will'>>[],
    found: readonly string[],
  ): void {
    const times = new Map<string, number>()
    for (const text of found) times.set(text, (times.get(text) ?? 0) + 1)
    for (const { operation, fate } of entries) {
      const { kind, payload, qos } = operation
      const count = times.get(payload) ?? 0
      times.delete(payload)
      this.#note(kind, session, payload, `${count}`)
      // A publisher goes on until it has its answers; nobody can ask for a will again.
      const isDue = fate === 'acknowledged' || (fate === 'open' && kind === 'publication')
      if (count === 0 && isDue) this.#report('lost', kind, `${session} ${payload}`)
      if (count > 0 && fate === 'cancelled') this.#report('invented', kind, `${session} ${payload}`)
      if (count > 1 && qos === 2) this.#report('twice', kind, `${session} ${payload}: ${count}`)
      if (count > 0 && fate === 'open') this.#doneUnheard += 1
    }
    for (const text of times.keys()) this.#report('invented', 'publication', `${session} ${text}`)
  }

  async #checkExpiries(): Promise<void> {
    const [user = ''] = this.#journal.sessions.values()
    await eachOf(this.#journal.of('expiry'), 16, async ({ operation, fate }) => {
      const { session, seconds, leftAt = this.#startedAt } = operation
      if (fate !== 'acknowledged') return
      const due = leftAt + seconds * 1000 + toleranceMs
      while (Date.now() < due) await wait(due - Date.now())
      await using client = new SessionClient(
        {
          ...workload.sessionOptions(this.#settings.ports.mqtt, session, user),
          sessionExpirySeconds: 0,
        },
        { outgoing: new Map(), incoming: new Set() },
        {},
      )
      if (!(await client.connect())) throw new Error(`Cannot connect as ${session}`)
      this.#note('expiry', session, client.sessionPresent ? 'present' : 'gone')
      if (client.sessionPresent) this.#report('overdue', 'expiry', session)
    })
  }

  /** MQTT5 4.6: messages of one publisher, topic and QoS stay in order; those that came before the crash may come again. */
  #judgeOrder(
    session: string,
    entries: readonly Entry<OperationOf<'publication'>>[],
    texts: readonly string[],
  ): void {
    for (const qos of [1, 2]) {
      const places = new Map<string, number>()
      for (const [index, { operation }] of entries.entries()) {
        if (operation.qos === qos) places.set(operation.payload, index)
      }
      let last = -1
      for (const text of texts) {
        const place = places.get(text)
        if (place === undefined) continue
        if (place < last) this.#report('order', 'publication', `${session} ${text}`)
        last = Math.max(last, place)
      }
    }
  }

  #judgeMessages(
    kind: 'offline',
    where: string,
    sent: readonly Message[],
    found: readonly string[],
  ): void {
    const left = new Set(found)
    if (left.size < found.length) {
      this.#report('twice', kind, `${where}: ${found.length - left.size} messages`)
    }
    for (const { text, fate } of sent) {
      const isThere = left.delete(text)
      this.#note(kind, where, text, isThere ? 'found' : 'missing')
      if (!isThere && fate === 'acknowledged') this.#report('lost', kind, `${where} ${text}`)
      if (isThere && fate === 'open') this.#doneUnheard += 1
    }
    for (const text of left) this.#report('invented', kind, `${where} ${text}`)
  }

  #signIn(user: string): Promise<XmppClient> {
    return XmppClient.connect({ port: this.#settings.ports.xmpp, user, password })
  }
}

interface Message {
  readonly text: string
  readonly fate: Entry['fate']
}

/** Messages as they come in. */
class Inbox {
  readonly texts: string[] = []
  readonly #seen = new Set<string>()

  put(text: string): void {
    this.texts.push(text)
    this.#seen.add(text)
  }

  /** Resolves when all that was acknowledged is here, or nothing has come for a while. */
  async has(messages: readonly Message[]): Promise<void> {
    const missing = messages.filter(({ fate }) => fate === 'acknowledged')
    let size = -1
    for (let quiet = 0; quiet < quietMs; quiet += 10) {
      if (missing.every(({ text }) => this.#seen.has(text))) return
      if (size !== this.texts.length) quiet = 0
      size = this.texts.length
      await wait(10)
    }
  }
}

/** So many at a time. */
async function eachOf<T>(
  items: readonly T[],
  count: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const queue = items.values()
  await Promise.all(
    Array.from({ length: count }, async () => {
      for (const item of queue) await work(item)
    }),
  )
}

if (import.meta.main) await main(JSON.parse(process.argv[2] ?? '') as CheckerSettings) // from rounds.ts
