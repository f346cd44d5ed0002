import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseHostName } from '../xmpp/jid/jid.ts'
import { TestClock } from './clock.ts'
import { CommandRegistry, defineCommand } from './command.ts'
import type { ModuleConfig } from './config/config.ts'
import { loadConfig } from './config/load.ts'
import { createSchema } from './config/schema.ts'
import { Hooks, defineHook } from './hooks.ts'
import { Logs } from './log.ts'
import { Metrics } from './metrics.ts'
import { ModuleHost } from './module-host.ts'
import { defineModule } from './module.ts'
import type { ModuleContext, ModuleDefinition } from './module.ts'
import { integer } from './options.ts'
import type { OptionMap } from './options.ts'
import { defineService, Services } from './service.ts'
import type { HostStore } from './store.ts'

const told = defineHook<[]>('test.told')
const greeting = defineService<string>('test.greeting')
const options = { size: integer({ min: 0 }, 1, 'A number.') } satisfies OptionMap

/** A host with those modules, and what they did. */
class Fixture {
  readonly events: string[] = []
  readonly log: string[] = []
  readonly clock = new TestClock()
  readonly commands = new CommandRegistry()
  readonly hooks: Hooks
  readonly modules: ModuleHost
  readonly #definitions: readonly ModuleDefinition[]

  constructor(define: (events: string[]) => readonly ModuleDefinition[]) {
    this.#definitions = define(this.events)
    const logs = new Logs({
      level: 'debug',
      destination: { write: (line) => void this.log.push(line) },
    })
    this.hooks = new Hooks(logs.for('hooks'))
    const host = parseHostName('localhost')
    const services = new Services()
    services.provide(greeting, 'hello')
    this.modules = new ModuleHost(
      {
        host: host.ok ? host.value : assert.fail(),
        hooks: this.hooks,
        storeFor: () => noStore,
        clock: this.clock,
        logs,
        metrics: new Metrics(),
        commands: this.commands,
        services,
        extensions: [
          (context, undo) => {
            this.events.push(`extend ${context.name}`)
            undo(() => void this.events.push(`withdraw ${context.name}`))
          },
        ],
      },
      new Map(this.#definitions.map((definition) => [definition.name, definition])),
    )
  }

  /** The modules of a configuration. */
  async configure(
    modules: Readonly<Record<string, object>>,
  ): Promise<ReadonlyMap<string, ModuleConfig>> {
    const schema = createSchema({
      modules: this.#definitions.map((definition) => [definition.name, definition.options]),
      listeners: [],
    })
    const source = { options: { hosts: ['localhost'], modules } }
    const { config } = await loadConfig(source, schema, { version: '0', variables: {} })
    return config?.modules('localhost') ?? assert.fail('The configuration is wrong')
  }

  async apply(modules: Readonly<Record<string, object>>): Promise<void> {
    await this.modules.apply(await this.configure(modules))
  }

  async reload(name: string, values: object): Promise<void> {
    const changed = (await this.configure({ [name]: values })).get(name)
    await this.modules.reload(changed ?? assert.fail(name))
  }

  taken(): string[] {
    return this.events.splice(0)
  }
}

// Nothing here stores anything.
const noStore = {} as HostStore

function simple(
  events: string[],
  name: string,
  more: Partial<ModuleDefinition<typeof options>> = {},
): ModuleDefinition {
  return defineModule({
    name,
    options,
    start(ctx: ModuleContext<{ readonly size: number }>) {
      events.push(`start ${name} ${ctx.options.size}`)
      ctx.onStop(() => void events.push(`stop ${name}`))
    },
    ...more,
  })
}

test('starts what others require before them, and stops in the reverse order', async () => {
  const fixture = new Fixture((events) => [
    simple(events, 'mod_last', { requires: ['mod_offline'] }),
    simple(events, 'mod_offline', { requires: ['mod_roster'] }),
    simple(events, 'mod_roster'),
  ])
  await fixture.apply({ mod_last: {}, mod_offline: { size: 2 }, mod_roster: {} })
  const started = fixture.taken().filter((event) => event.startsWith('start'))
  assert.deepEqual(started, ['start mod_roster 1', 'start mod_offline 2', 'start mod_last 1'])
  assert.deepEqual(fixture.modules.running, ['mod_roster', 'mod_offline', 'mod_last'])
  await fixture.modules.stopAll()
  const stopped = fixture.taken().filter((event) => event.startsWith('stop'))
  assert.deepEqual(stopped, ['stop mod_last', 'stop mod_offline', 'stop mod_roster'])
  assert.ok(!fixture.modules.isRunning('mod_last'))
})

test('refuses modules without those that they require, and circles', async () => {
  const fixture = new Fixture((events) => [
    simple(events, 'mod_last', { requires: ['mod_offline'] }),
    simple(events, 'mod_offline', { requires: ['mod_last'] }),
  ])
  await assert.rejects(fixture.apply({ mod_last: {} }), /mod_last on localhost needs mod_offline/)
  await assert.rejects(
    fixture.apply({ mod_last: {}, mod_offline: {} }),
    /mod_offline and mod_last require each other/,
  )
  assert.deepEqual(fixture.events, [])
})

test('undoes everything that a module registered, latest first, whatever fails on the way', async () => {
  const fixture = new Fixture((events) => [
    simple(events, 'mod_last', {
      start(ctx) {
        assert.equal(ctx.service(greeting), 'hello')
        ctx.on(told, () => void events.push('told'))
        const own = { name: 'own', tags: [], summary: '', result: 'rescode', run: () => 0 } as const
        ctx.command(defineCommand(own))
        ctx.after(100, () => events.push('after'))
        ctx.every(60, () => events.push('every'))
        ctx.onStop(() => void events.push('first'))
        ctx.onStop(() => {
          throw new Error('broken')
        })
        ctx.onStop(() => void events.push('last'))
        ctx.background(Promise.reject(new Error('in the background')))
      },
    }),
  ])
  await fixture.apply({ mod_last: {} })
  fixture.hooks.emit(told)
  fixture.clock.advance(60)
  assert.ok(fixture.commands.find('own') !== undefined)
  assert.deepEqual(fixture.taken(), ['extend mod_last', 'told', 'every'])
  await fixture.apply({})
  assert.deepEqual(fixture.taken(), ['last', 'first', 'withdraw mod_last'])
  fixture.hooks.emit(told)
  fixture.clock.advance(1000)
  assert.deepEqual(fixture.taken(), [])
  assert.equal(fixture.commands.find('own'), undefined)
  const errors = fixture.log.map((line) => JSON.parse(line).err?.message)
  assert.deepEqual(errors, ['in the background', 'broken'])
})

test('a module that fails to start leaves nothing, and says where it is configured', async () => {
  let isBroken = true
  const fixture = new Fixture((events) => [
    simple(events, 'mod_roster'),
    simple(events, 'mod_last', {
      start(ctx) {
        ctx.on(told, () => void events.push('told'))
        if (isBroken) throw new Error('no database')
      },
    }),
  ])
  const both = { mod_roster: {}, mod_last: {} }
  await assert.rejects(
    fixture.apply(both),
    /Cannot start mod_last on localhost \(.*\): no database/,
  )
  assert.deepEqual(fixture.modules.running, ['mod_roster'])
  fixture.taken()
  fixture.hooks.emit(told)
  assert.deepEqual(fixture.taken(), [])
  isBroken = false
  await fixture.apply(both)
  assert.deepEqual(fixture.modules.running, ['mod_roster', 'mod_last'])
})

test('leaves what is unchanged alone, starts what is new and stops what is gone', async () => {
  const fixture = new Fixture((events) => [
    simple(events, 'mod_last'),
    simple(events, 'mod_offline'),
    simple(events, 'mod_roster'),
  ])
  await fixture.apply({ mod_last: {}, mod_offline: {} })
  fixture.taken()
  await fixture.apply({ mod_last: {}, mod_roster: {} })
  assert.deepEqual(fixture.taken(), [
    'stop mod_offline',
    'withdraw mod_offline',
    'extend mod_roster',
    'start mod_roster 1',
  ])
})

test('changed options go to a module that takes them, with those of before', async () => {
  const fixture = new Fixture((events) => [
    simple(events, 'mod_last', {
      reload: (ctx, before) => void events.push(`reload ${before.size} ${ctx.options.size}`),
    }),
  ])
  await fixture.apply({ mod_last: {} })
  fixture.taken()
  await fixture.reload('mod_last', { size: 5 })
  assert.deepEqual(fixture.taken(), ['reload 1 5'])
  await fixture.reload('mod_last', { size: 6 })
  assert.deepEqual(fixture.taken(), ['reload 5 6'])
})

test('a module that takes no changes is started anew, with those that require it', async () => {
  const fixture = new Fixture((events) => [
    simple(events, 'mod_roster'),
    simple(events, 'mod_last', { requires: ['mod_roster'] }),
    simple(events, 'mod_offline'),
  ])
  await fixture.apply({ mod_last: { size: 3 }, mod_roster: {}, mod_offline: {} })
  fixture.taken()
  await fixture.reload('mod_roster', { size: 9 })
  const events = fixture.taken().filter((event) => /^(start|stop)/.test(event))
  assert.deepEqual(events, [
    'stop mod_last',
    'stop mod_roster',
    'start mod_roster 9',
    'start mod_last 3',
  ])
})

test('what a module returns is for those that require it, and for nobody else', async () => {
  const fixture = new Fixture((events) => [
    simple(events, 'mod_roster', { start: () => ({ answer: 42 }) }),
    simple(events, 'mod_last', {
      requires: ['mod_roster'],
      start: (ctx) => void events.push(`${ctx.use<{ answer: number }>('mod_roster').answer}`),
    }),
    simple(events, 'mod_offline', { start: (ctx) => ctx.use('mod_roster') }),
  ])
  await fixture.apply({ mod_roster: {}, mod_last: {} })
  assert.ok(fixture.events.includes('42'))
  assert.deepEqual(fixture.modules.find('mod_roster'), { answer: 42 })
  assert.equal(fixture.modules.find('mod_offline'), undefined)
  await assert.rejects(
    fixture.apply({ mod_roster: {}, mod_offline: {} }),
    /mod_offline uses mod_roster, which it does not require/,
  )
})
