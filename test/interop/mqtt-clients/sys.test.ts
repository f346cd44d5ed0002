import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { TestClock } from '../../../src/core/clock.ts'
import { FieldServer } from '../../support/field-server.ts'
import { Mosquitto, mosquittoVersions, noMosquitto } from '../../support/mosquitto.ts'

const options = { skip: noMosquitto }

const config = {
  acl: { admin: { user: 'juliet@localhost' } },
  access_rules: { configure: { allow: 'admin' } },
}

for (const version of mosquittoVersions) {
  suite(`mosquitto_sub -t '$SYS/#', ${version}`, options, () => {
    test('shows an administrator the figures, at once and at each interval', async () => {
      const clock = new TestClock()
      await using server = await FieldServer.start({ config, clock })
      const mosquitto = new Mosquitto(server, { version })
      const all = await mosquitto.collect('%t %r %p', '-t', '$SYS/#', '-C', '50')
      assert.ok(all.every((line) => line.startsWith('$SYS/broker/') && / 1 \S/.test(line)))
      assert.ok(all.includes('$SYS/broker/clients/connected 1 1'), all.join('\n'))
      assert.ok(all.some((line) => line.startsWith('$SYS/broker/retained messages/count 1 0')))
      await using later = await mosquitto.subscribe('%r %p', '-t', '$SYS/broker/uptime', '-C', '2')
      await later.says(/> 1 0 seconds/)
      clock.advance(10_000)
      assert.deepEqual(await later.collect(), ['1 0 seconds', '0 10 seconds'])
    })

    test('is refused to others', async () => {
      await using server = await FieldServer.start({ config })
      const mosquitto = new Mosquitto(server, { version, user: 'romeo' })
      const { stdout, stderr } = await mosquitto.sub('-d', '-t', '$SYS/#', '-W', '5')
      assert.match(`${stdout}${stderr}`, /denied|Subscribed \(mid: 1\): (128|135)/)
      assert.doesNotMatch(stdout, /seconds/)
    })
  })
}
