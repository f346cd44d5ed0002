import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { Bystander, Intruder, MiB, Target } from './hostile-target.ts'

const connections = 1500

for (const name of ['xmpp', 'xmppTls', 'mqtt', 'http'] as const) {
  test(`a flood of connections to the port of ${name} leaves others alone`, async (t) => {
    await using target = await Target.start()
    const bystander = await Bystander.start(target)
    const quiet = target.descriptors
    const growth = await target.growthDuring(async () => {
      const flood = Array.from({ length: connections }, () => new Intruder(target.port(name)))
      await Promise.all(
        flood.map(({ socket, closed }) => Promise.race([once(socket, 'connect'), closed])),
      )
      await bystander.goesOn(50)
      // Newcomers are served, too.
      const newcomer = await target.xmpp('a')
      await newcomer.end()
      await Promise.all(flood.map((intruder) => intruder.leave()))
    })
    // Soon, not only when some time limit is over.
    for (let rounds = 0; target.descriptors > quiet; rounds += 10) {
      assert.ok(rounds < 20_000, 'Sockets of those who have left are kept')
      await bystander.goesOn(10)
    }
    t.diagnostic(await bystander.stop())
    t.diagnostic(`grew by ${Math.round(growth / MiB)} MiB`)
    assert.ok(growth < 128 * MiB, `${growth}`)
  })
}
