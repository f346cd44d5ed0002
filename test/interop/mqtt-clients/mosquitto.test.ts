import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { FieldServer } from '../../support/field-server.ts'
import { Mosquitto, mosquittoVersions, noMosquitto } from '../../support/mosquitto.ts'
import { Folder, run } from '../../support/process.ts'
import { makeCertificate } from '../../../src/core/net/test-support.ts'

const options = { skip: noMosquitto }

for (const way of ['mqtt', 'mqtts'] as const) {
  for (const version of mosquittoVersions) {
    suite(`mosquitto's clients, ${version} over ${way}`, options, () => {
      test('publish and receive at each QoS', async () => {
        await using server = await FieldServer.start()
        const mosquitto = new Mosquitto(server, { way, version })
        const topics = ['-t', 'home/+/temperature']
        await using exact = await mosquitto.subscribe(
          '%t %q %r %p',
          ...topics,
          '-q',
          '2',
          '-C',
          '3',
        )
        await using careless = await mosquitto.subscribe('%q %p', ...topics, '-q', '0', '-C', '3')
        for (const qos of ['0', '1', '2']) {
          await mosquitto.publish('-t', 'home/hall/temperature', '-m', `2${qos}`, '-q', qos)
        }
        assert.deepEqual(await exact.collect(), [
          'home/hall/temperature 0 0 20',
          'home/hall/temperature 1 0 21',
          'home/hall/temperature 2 0 22',
        ])
        assert.deepEqual(await careless.collect(), ['0 20', '0 21', '0 22'])
      })

      test('find what was retained, and remove it', async () => {
        await using server = await FieldServer.start()
        const mosquitto = new Mosquitto(server, { way, version })
        for (const room of ['hall', 'attic', 'cellar']) {
          await mosquitto.publish('-t', `home/${room}`, '-m', room, '-r', '-q', '1')
        }
        await mosquitto.publish('-t', 'home/cellar', '-n', '-r', '-q', '1')
        const found = ['-t', 'home/#', '-q', '1', '-C', '2']
        const both = await mosquitto.collect('%t %r %p', ...found)
        assert.deepEqual(both.sort(), ['home/attic 1 attic', 'home/hall 1 hall'])
        // mosquitto_sub does not notice that it is done, with no broker, and waits until it has waited enough.
        const removal = ['--remove-retained', '-F', '%t %r', '-W', '1']
        const removed = await mosquitto.sub('-t', 'home/#', '-q', '1', ...removal)
        assert.match(removed.stdout, /home\/attic 1\n/)
        // There are none any more: the first message is the one that is not retained.
        await using late = await mosquitto.subscribe('%r %p', '-t', 'home/#', '-C', '1')
        await mosquitto.publish('-t', 'home/hall', '-m', 'fresh')
        assert.deepEqual(await late.collect(), ['0 fresh'])
      })

      test('have their will published when they die, not when they leave', async () => {
        await using server = await FieldServer.start()
        const mosquitto = new Mosquitto(server, { way, version })
        const will = (name: string): string[] => [
          ...['--will-topic', `status/${name}`, '--will-payload', 'gone'],
          ...['--will-qos', '1', '--will-retain'],
        ]
        await using witness = await mosquitto.subscribe('%t %r %p', '-t', 'status/#', '-C', '1')
        await using polite = await mosquitto.subscribe(
          '',
          '-t',
          'call',
          '-C',
          '1',
          ...will('polite'),
        )
        await using mortal = await mosquitto.subscribe('', '-t', 'x', ...will('mortal'))
        await mosquitto.publish('-t', 'call', '-m', 'enough')
        await polite.collect()
        mortal.signal('SIGKILL')
        assert.deepEqual(await witness.collect(), ['status/mortal 0 gone'])
        assert.deepEqual(await mosquitto.collect('%t %r %p', '-t', 'status/#', '-C', '1'), [
          'status/mortal 1 gone',
        ])
      })

      test('come back to a session that outlived them and the server', async () => {
        using data = new Folder()
        const session = ['-c', '-i', 'lasting', '-q', '2', '-t', 'news/#']
        {
          await using server = await FieldServer.start({ dataDir: data.path })
          const mosquitto = new Mosquitto(server, { way, version })
          assert.equal((await mosquitto.sub(...session, '-E')).status, 0)
          await mosquitto.publish('-t', 'news/one', '-m', 'first', '-q', '1')
        }
        await using server = await FieldServer.start({ dataDir: data.path })
        const mosquitto = new Mosquitto(server, { way, version })
        await mosquitto.publish('-t', 'news/two', '-m', 'second', '-q', '2')
        assert.deepEqual(await mosquitto.collect('%t %q %p', ...session, '-C', '2'), [
          'news/one 1 first',
          'news/two 2 second',
        ])
        // A clean session under the same name is the end of it.
        assert.equal((await mosquitto.sub('-i', 'lasting', '-t', 'x', '-E')).status, 0)
        await mosquitto.publish('-t', 'news/three', '-m', 'lost', '-q', '1')
        await using again = await mosquitto.subscribe('%p', ...session, '-C', '1')
        await mosquitto.publish('-t', 'news/four', '-m', 'fresh', '-q', '1')
        assert.deepEqual(await again.collect(), ['fresh'])
      })

      test('publish standard input line by line, and a file of 1 MB', async () => {
        await using server = await FieldServer.start()
        const mosquitto = new Mosquitto(server, { way, version })
        const lines = Array.from({ length: 500 }, (_, i) => `line ${i}`)
        const count = `${lines.length + 1}`
        await using reader = await mosquitto.subscribe('%p', '-t', 'in/#', '-q', '2', '-C', count)
        const input = server.file('lines', `${lines.join('\n')}\n`)
        await mosquitto.publishFrom(input, '-t', 'in/lines', '-l', '-q', '1')
        const large = 'linnet '.repeat(150_000)
        await mosquitto.publish('-t', 'in/file', '-f', server.file('large', large), '-q', '2')
        const received = await reader.collect()
        assert.equal(received.pop() === large, true)
        assert.deepEqual(received, lines)
      })

      test('are told of a wrong password, and wait no longer than asked (-W)', async () => {
        await using server = await FieldServer.start()
        const mosquitto = new Mosquitto(server, { way, version })
        const refused = await mosquitto.pub('-t', 'a', '-m', 'x', '-P', 'wrong')
        assert.match(refused.stderr, /bad user ?name or password/i)
        assert.notEqual(refused.status, 0)
        const patient = await mosquitto.sub('-t', 'a', '-C', '1', '-W', '1')
        assert.deepEqual(patient, { status: 27, stdout: '', stderr: 'Timed out\n' })
      })
    })
  }
}

suite("mosquitto's clients", options, () => {
  test('share a subscription, each getting its part', async () => {
    for (const version of ['mqttv311', 'mqttv5'] as const) {
      await using server = await FieldServer.start()
      const mosquitto = new Mosquitto(server, { version })
      const member = (): ReturnType<typeof mosquitto.subscribe> =>
        mosquitto.subscribe('%p', '-t', '$share/workers/jobs/#', '-q', '1', '-C', '5')
      await using first = await member()
      await using second = await member()
      const jobs = Array.from({ length: 10 }, (_, i) => `job ${i}`)
      const input = server.file('jobs', `${jobs.join('\n')}\n`)
      await mosquitto.publishFrom(input, '-t', 'jobs/all', '-l', '-q', '1')
      const done = [...(await first.collect()), ...(await second.collect())]
      assert.deepEqual(done.sort(), jobs)
    }
  })

  test('unsubscribe (-U)', async () => {
    await using server = await FieldServer.start()
    const mosquitto = new Mosquitto(server)
    const session = ['-c', '-i', 'lasting', '-q', '1']
    assert.equal((await mosquitto.sub(...session, '-t', 'a', '-t', 'b', '-E')).status, 0)
    assert.equal((await mosquitto.sub(...session, '-t', 'c', '-U', 'a', '-E')).status, 0)
    for (const topic of ['a', 'b', 'c']) await mosquitto.publish('-t', topic, '-m', 'x', '-q', '1')
    assert.deepEqual(await mosquitto.collect('%t', ...session, '-t', 'c', '-C', '2'), ['b', 'c'])
  })

  test('are believed by their certificate, and by no other', async () => {
    await using server = await FieldServer.start({ verifiesClients: true })
    const where = ['-h', 'localhost', '-p', `${server.port('mqtts')}`, '-t', 'a', '-m', 'x']
    const pub = (cafile: string, { cert, key }: { cert: string; key: string }, user: string) =>
      run([...where, '--cafile', cafile, '--cert', cert, '--key', key, '-u', user, '-q', '1'], {
        program: 'mosquitto_pub',
      })
    const own = server.clientCertificate('juliet@localhost')
    const good = await pub(server.cafile, own, 'juliet@localhost')
    assert.deepEqual(good, { status: 0, stdout: '', stderr: '' })
    assert.match((await pub(server.cafile, own, 'romeo@localhost')).stderr, /not authorised/)
    // The other way round: who does not know the authority does not talk to the server.
    const stranger = makeCertificate({ name: 'Stranger', isAuthority: true })
    const strange = server.file('stranger.pem', stranger.certificate)
    assert.match((await pub(strange, own, 'juliet@localhost')).stderr, /TLS error|certificate/)
  })

  test('take the server from a URL (-L), and come by a Unix socket', async () => {
    const socket = { port: 'unix:mqtt.sock', module: 'mod_mqtt' }
    const tcp = { port: 0, ip: '127.0.0.1', module: 'mod_mqtt' }
    await using server = await FieldServer.start({ config: { listen: [tcp, socket] } })
    const mosquitto = new Mosquitto(server)
    await using reader = await mosquitto.subscribe('%p', '-t', 'a/b', '-C', '2')
    const url = `mqtt://juliet:secret@localhost:${server.port('mqtt')}/a/b`
    const byUrl = await run(['-L', url, '-m', 'url'], { program: 'mosquitto_pub' })
    assert.deepEqual(byUrl, { status: 0, stdout: '', stderr: '' })
    const path = `${server.server.dataDir}/mqtt.sock`
    const bySocket = await run(
      ['--unix', path, '-u', 'juliet', '-P', 'secret', '-t', 'a/b', '-m', 'unix'],
      { program: 'mosquitto_pub' },
    )
    assert.deepEqual(bySocket, { status: 0, stdout: '', stderr: '' })
    assert.deepEqual(await reader.collect(), ['url', 'unix'])
  })
})

suite("mosquitto's clients with MQTT 5", options, () => {
  const version = 'mqttv5'

  test('hand properties on (-D)', async () => {
    await using server = await FieldServer.start()
    const mosquitto = new Mosquitto(server, { version })
    const format = '%p|%C|%R|%D|%F|%E|%S|%P'
    const numbered = ['-D', 'subscribe', 'subscription-identifier', '7']
    await using reader = await mosquitto.subscribe(format, '-t', 'a/#', '-C', '1', ...numbered)
    const properties = [
      ['content-type', 'text/plain'],
      ['response-topic', 'answers/me'],
      ['correlation-data', 'c-1'],
      ['payload-format-indicator', '1'],
      ['message-expiry-interval', '60'],
      ['topic-alias', '3'],
      ['user-property', 'unit', 'K'],
      ['user-property', 'place', 'hall'],
    ].flatMap((property) => ['-D', 'publish', ...property])
    await mosquitto.publish('-t', 'a/b', '-m', 'hej', '-q', '1', ...properties)
    const [line = ''] = await reader.collect()
    assert.match(line, /^hej\|text\/plain\|answers\/me\|c-1\|1\|(60|59)\|7\|unit:K place:hall/)
  })

  test('send several messages by one topic alias', async () => {
    await using server = await FieldServer.start()
    const mosquitto = new Mosquitto(server, { version })
    await using reader = await mosquitto.subscribe('%t %p', '-t', 'long/#', '-C', '20')
    const lines = Array.from({ length: 20 }, (_, i) => `${i}`)
    const input = server.file('lines', `${lines.join('\n')}\n`)
    const alias = ['-D', 'publish', 'topic-alias', '1']
    await mosquitto.publishFrom(input, '-t', 'long/topic', '-l', '-q', '1', ...alias)
    assert.deepEqual(
      await reader.collect(),
      lines.map((line) => `long/topic ${line}`),
    )
  })

  test('take no packet that is larger than they say', async () => {
    await using server = await FieldServer.start()
    const mosquitto = new Mosquitto(server, { version })
    const limits = [
      ...['-D', 'connect', 'maximum-packet-size', '100'],
      ...['-D', 'connect', 'receive-maximum', '1'],
    ]
    await using reader = await mosquitto.subscribe('%p', '-t', 'a', '-q', '1', '-C', '2', ...limits)
    for (const payload of ['one', 'x'.repeat(200), 'two']) {
      await mosquitto.publish('-t', 'a', '-m', payload, '-q', '1')
    }
    assert.deepEqual(await reader.collect(), ['one', 'two'])
  })

  test('give their session a time (-x) and their will properties', async () => {
    await using server = await FieldServer.start()
    const mosquitto = new Mosquitto(server, { version })
    const session = ['-c', '-i', 'lasting', '-x', '100', '-q', '1', '-t', 'a']
    assert.equal((await mosquitto.sub(...session, '-E')).status, 0)
    await mosquitto.publish('-t', 'a', '-m', 'kept', '-q', '1')
    assert.deepEqual(await mosquitto.collect('%p', ...session, '-C', '1'), ['kept'])
    await using witness = await mosquitto.subscribe('%p|%C|%P', '-t', 'will', '-C', '1')
    const will = [
      ...['--will-topic', 'will', '--will-payload', 'gone'],
      ...[
        '-D',
        'will',
        'content-type',
        'text/plain',
        '-D',
        'will',
        'user-property',
        'why',
        'power',
      ],
    ]
    await using mortal = await mosquitto.subscribe('', '-t', 'x', ...will)
    mortal.signal('SIGKILL')
    assert.deepEqual(await witness.collect(), ['gone|text/plain|why:power'])
  })

  test('are told what they may not do', async () => {
    await using server = await FieldServer.start({
      mqtt: { access_publish: { 'open/#': 'all' }, access_subscribe: { 'open/#': 'all' } },
    })
    const mosquitto = new Mosquitto(server, { version })
    const refused = await mosquitto.pub('-t', 'closed', '-m', 'x', '-q', '1')
    assert.match(refused.stderr, /Not authorized/i)
    const denied = await mosquitto.sub('-t', 'closed', '-C', '1')
    assert.match(denied.stderr, /denied/i)
  })
})

for (const version of ['mqttv311', 'mqttv5'] as const) {
  test(`mosquitto_rr gets the answer to its request, ${version}`, options, async () => {
    await using server = await FieldServer.start()
    const mosquitto = new Mosquitto(server, { version })
    await using service = await mosquitto.subscribe('%R|%D|%p', '-t', 'requests', '-C', '1')
    await using request = mosquitto.rr(
      ...['-t', 'requests', '-e', 'answers/mine', '-m', 'What time is it?', '-F', '%p', '-W', '60'],
      ...(version === 'mqttv5' ? ['-D', 'publish', 'correlation-data', 'c-7'] : []),
    )
    const [line] = await service.collect()
    const isNew = version === 'mqttv5'
    assert.equal(line, isNew ? 'answers/mine|c-7|What time is it?' : '||What time is it?')
    const correlation = isNew ? ['-D', 'publish', 'correlation-data', 'c-7'] : []
    await mosquitto.publish('-t', 'answers/mine', '-m', 'Late.', ...correlation)
    assert.deepEqual(await request.ended(), { status: 0, stdout: 'Late.\n', stderr: '' })
  })
}
