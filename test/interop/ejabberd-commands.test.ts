import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import { parse } from 'yaml'
import { CompatActor } from '../support/compat-actor.ts'
import { differences, expectedOf } from '../support/compat-differences.ts'
import { runLinnet, startLinnet } from '../support/compat-linnet.ts'
import { compatConfig, playOnEjabberd, readTranscript } from '../support/compat-record.ts'
import { transcriptNames } from '../support/compat-record.ts'
import { matches, play } from '../support/compat-transcript.ts'
import type { Step } from '../support/compat-transcript.ts'
import { ejabberdVersion, freePort } from '../support/ejabberd.ts'

/*
 * The same words, typed at Linnet: what ejabberdctl 23.01 printed stands in test/fixtures/ejabberdctl, what differs on
 * purpose in test/support/compat-differences.ts.
 */
async function answersLikeEjabberd(name: string): Promise<void> {
  const steps = (await readTranscript(name)).map((step) =>
    step.kind === 'command' ? expectedOf(name, step) : step,
  )
  const port = await freePort()
  await using server = await startLinnet({ config: await compatConfig(port) })
  await using actor = new CompatActor(port, async (words) => {
    const { exit, stdout, stderr } = await controlOf(server, words)
    return { exit, output: (stdout + stderr).replaceAll(server.dir, '{dir}') }
  })
  for (const { expected, actual } of await play(steps, actor)) {
    const isEqual = actual.exit === expected.exit && matches(expected.output, actual.output)
    // Only for a message that shows both: patterns are not text to compare.
    if (!isEqual) assert.deepEqual({ $: expected.text, ...actual }, shown(expected))
  }
}

function shown({ text, exit, output }: Extract<Step, { kind: 'command' }>): object {
  return { $: text, exit, output }
}

/** Options of the command line need the command line; everything else goes to the control socket directly. */
async function controlOf(
  server: Awaited<ReturnType<typeof startLinnet>>,
  words: readonly string[],
): Promise<{ exit: number; stdout: string; stderr: string }> {
  const own = words.map((word) => word.replaceAll('{dir}', server.dir))
  const isSimple = own[0] !== undefined && !own[0].startsWith('-')
  if (!isSimple) return server.command(...own)
  const { exit, output } = await server.control(...own)
  if (own[0] === 'stop' && exit === 0) await server.ended
  return { exit, stdout: output, stderr: '' }
}

// shows: command register
// shows: command unregister
// shows: command registered_users
// shows: command check_account
// shows: command check_password
// shows: command change_password
test('accounts are registered, listed, checked and removed as ejabberdctl does', () =>
  answersLikeEjabberd('accounts'))

// shows: command ban_account
// shows: command unban_account
test('accounts are banned, with a way back', () => answersLikeEjabberd('bans'))

// shows: command connected_users
// shows: command connected_users_number
// shows: command user_resources
// shows: command user_sessions_info
// shows: command num_resources
// shows: command kick_session
// shows: command kick_user
test('sessions are listed, counted and kicked as ejabberdctl does', () =>
  answersLikeEjabberd('sessions'))

// shows: command status
// shows: command registered_vhosts
// shows: command modules_installed
// shows: command stats
// shows: command stats_host
// shows: command get_loglevel
// shows: command set_loglevel
// shows: command reload_config
// shows: command dump_config
// shows: command stop
test('the server is asked and told as by ejabberdctl', () => answersLikeEjabberd('server'))

// shows: command get_last
// shows: command set_last
test('last activity is read and written as by ejabberdctl', () => answersLikeEjabberd('last'))

// shows: command get_roster
// shows: command add_rosteritem
// shows: command delete_rosteritem
test('contacts are listed, added and deleted as by ejabberdctl', () =>
  answersLikeEjabberd('roster'))

// shows: command get_offline_count
test('messages that wait are counted as by ejabberdctl', () => answersLikeEjabberd('offline'))

// shows: command check_password_hash
// shows: command convert_to_scram
test('passwords that are keys are dealt with as by ejabberdctl', () =>
  answersLikeEjabberd('hashes'))

// shows: command unban_ip
test('addresses are let in again as by ejabberdctl', () => answersLikeEjabberd('fail2ban'))

// shows: command help
test('wrong use and calls for help are answered as by ejabberdctl', () =>
  answersLikeEjabberd('usage'))

// ejabberd 23.01 cannot lift a ban, so this is what the newer one says.
// shows: command unban_account
// shows: command list_banned
// shows: command count_banned
// shows: command get_ban_details
test('an account that was banned signs in with its old password after the ban', async () => {
  await using server = await startLinnet({ config: await compatConfig(await freePort()) })
  const said = async (...words: readonly string[]): Promise<string> => {
    const { exit, output } = await server.control(...words)
    return `${exit} ${output}`
  }
  assert.match(await said('register', 'user1', 'localhost', 'Pass'), /^0 /)
  assert.equal(await said('ban_account', 'user1', 'localhost', 'spam'), '0 ')
  assert.equal(
    await said('ban_account', 'user1', 'localhost', 'spam'),
    '1 Error: account_was_already_banned\n',
  )
  assert.equal(await said('check_password', 'user1', 'localhost', 'Pass'), '1 Error: false\n')
  assert.equal(await said('list_banned', 'localhost'), '0 user1@localhost\n')
  assert.equal(await said('count_banned', 'localhost'), '0 1\n')
  assert.match(
    await said('get_ban_details', 'user1', 'localhost'),
    /^0 reason\tspam\nbandate\t\S+Z\nlastdate\t\S+Z\nlastreason\t.*\n$/,
  )
  assert.equal(await said('unban_account', 'user1', 'localhost'), '0 ')
  assert.equal(await said('check_password', 'user1', 'localhost', 'Pass'), '0 ')
  assert.equal(
    await said('unban_account', 'user1', 'localhost'),
    '1 Error: account_was_not_banned\n',
  )
  assert.equal(await said('list_banned', 'localhost'), '0 ')
  assert.equal(await said('get_ban_details', 'user1', 'localhost'), '0 ')
  assert.equal(
    await said('unban_account', 'nobody', 'localhost'),
    '1 Error: account_does_not_exist\n',
  )
})

// Nor can it count contacts.
// shows: command get_roster_count
test('contacts are counted', async () => {
  await using server = await startLinnet({ config: await compatConfig(await freePort()) })
  const count = ['get_roster_count', 'user1', 'localhost'] as const
  assert.equal((await server.control('register', 'user1', 'localhost', 'Pass')).exit, 0)
  assert.deepEqual(await server.control(...count), { exit: 0, output: '0\n' })
  const contact = ['user1', 'localhost', 'user2', 'localhost', 'Second', 'Friends', 'both'] as const
  assert.equal((await server.control('add_rosteritem', ...contact)).exit, 0)
  assert.deepEqual(await server.control(...count), { exit: 0, output: '1\n' })
})

test('the dump of the configuration says what was configured, and can be used as one', async () => {
  const config = await compatConfig(await freePort())
  await using server = await startLinnet({ config })
  const file = `${server.dir}/dumped.yml`
  assert.equal((await server.control('dump_config', file)).exit, 0)
  const dumped: unknown = parse(await readFile(file, 'utf8'))
  const configured: unknown = parse(config)
  assert.ok(typeof dumped === 'object' && dumped !== null)
  assert.ok(typeof configured === 'object' && configured !== null)
  for (const key of [
    'hosts',
    'loglevel',
    'listen',
    'auth_password_format',
    'acl',
    'access_rules',
  ]) {
    assert.deepEqual(Reflect.get(dumped, key), Reflect.get(configured, key), key)
  }
  const checked = await runLinnet(['check-config', '--config', file], server.dir)
  assert.equal(checked.exit, 0, checked.stderr)
})

test('without a server every command exits with 3', async () => {
  const commands = (await readTranscript('not-running')).filter((step) => step.kind === 'command')
  const stopped = commands.slice(1) // the first one stops the server
  assert.ok(stopped.length > 0)
  for (const { words, exit } of stopped) {
    assert.equal(exit, 3)
    const answer = await runLinnet(['--data', '/nonexistent/linnet', ...words], '/')
    assert.equal(answer.exit, 3)
    assert.match(answer.stderr, /no server is running/)
  }
})

test('each difference stands for a command that ejabberd answers otherwise', async () => {
  for (const own of differences) {
    const steps = await readTranscript(own.transcript)
    const step = steps.find(({ kind, text }) => kind === 'command' && text === own.command)
    assert.ok(step?.kind === 'command', `${own.transcript}: there is no "${own.command}"`)
    const isSame =
      step.exit === own.exit && (own.output === undefined || step.output === own.output)
    assert.ok(!isSame, `${own.transcript}: "${own.command}" does not differ`)
  }
})

const recorded = '23.01'
const noRecordedVersion =
  ejabberdVersion() !== recorded && `ejabberd ${recorded} (Debian 12) is not installed`

// All of them take a minute and more; these have every kind of step. `node test/support/compat-record.ts` does them all.
for (const name of transcriptNames().filter((own) => ['bans', 'last'].includes(own))) {
  test(
    `the transcript "${name}" is what ejabberdctl prints`,
    { skip: noRecordedVersion },
    async () => {
      for (const { expected, actual, isEqual } of await playOnEjabberd(
        await readTranscript(name),
      )) {
        if (!isEqual) assert.deepEqual({ $: expected.text, ...actual }, shown(expected))
      }
    },
  )
}
