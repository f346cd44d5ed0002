import assert from 'node:assert/strict'
import { test } from 'node:test'
import { enough } from './driver.ts'
import { total } from './journal.ts'
import { runRounds } from './rounds.ts'
import { noStrace } from './strace.ts'

const seed = Number(process.env['LINNET_TEST_SEED'] ?? Date.now() % 1_000_000_007)
const rounds = 30

test('kill -9 at random moments loses nothing that was acknowledged', async (t) => {
  const results = await runRounds({
    rounds,
    seed,
    slowRounds: noStrace === false ? 'even' : 'none',
    print: (line) => t.diagnostic(line),
  })
  assert.equal(results.length, rounds)
  for (const { round, acknowledged, unacknowledged, problems, refused } of results) {
    assert.deepEqual(problems, [], `round ${round}`)
    assert.equal(refused, 0, `round ${round}`)
    assert.ok(total(acknowledged) >= enough, `round ${round}: too little was acknowledged`)
    assert.ok(total(unacknowledged) >= enough, `round ${round}: too little was under way`)
  }
})

for (const direction of ['incoming', 'outgoing'] as const) {
  test(`the same rounds find QoS 2 messages that come twice when ${direction} packet identifiers are forgotten`, async (t) => {
    const results = await runRounds({
      rounds: 20, // almost every one finds some
      seed,
      slowRounds: 'none',
      env: { LINNET_TEST_FORGET_PACKET_IDS: direction },
      print: (line) => t.diagnostic(line),
      isControl: true,
    })
    const problems = results.flatMap(({ problems }) => problems)
    assert.ok(problems.some(({ problem, kind }) => problem === 'twice' && kind === 'publication'))
  })
}

const name = 'the same rounds find losses when the server acknowledges before the commit'
test(name, { skip: noStrace }, async (t) => {
  const results = await runRounds({
    rounds: 50, // about every other finds some
    seed,
    slowRounds: 'all',
    env: { LINNET_TEST_ACK_BEFORE_COMMIT: '1' },
    print: (line) => t.diagnostic(line),
    isControl: true,
  })
  const problems = results.flatMap(({ problems }) => problems)
  assert.ok(problems.some(({ problem }) => problem === 'lost' || problem === 'stale'))
  // That is all: losing what was never written does not damage the file.
  assert.ok(!problems.some(({ problem }) => problem === 'unsound'))
})
