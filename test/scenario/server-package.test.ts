import assert from 'node:assert/strict'
import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { Folder, ServerProcess, run } from '../support/process.ts'
import { XmppClient } from '../support/xmpp-client.ts'

const root = join(import.meta.dirname, '../..')

/** What `npm pack` would put into a package, built by what `npm run build` runs, with the shipped configuration on free ports. */
async function build(folder: Folder): Promise<string> {
  const compiler = join(root, 'node_modules/.bin/tsc')
  const { scripts }: { scripts: Record<string, string> } = JSON.parse(
    readFileSync(join(root, 'package.json'), 'utf8'),
  )
  const [name, ...args] = (scripts['build'] ?? '').split(' ')
  assert.equal(name, 'tsc')
  const built = await run([...args, '--outDir', folder.join('dist')], {
    program: compiler,
    cwd: root,
  })
  assert.equal(built.status, 0, built.stdout)
  for (const path of ['bin', 'package.json']) {
    cpSync(join(root, path), folder.join(path), { recursive: true })
  }
  symlinkSync(join(root, 'node_modules'), folder.join('node_modules'))
  mkdirSync(folder.join('config'))
  const config = readFileSync(join(root, 'config/default.yml'), 'utf8')
  writeFileSync(
    folder.join('config/default.yml'),
    config.replace(/- port: \d+\n {4}ip: "::"/g, '- port: 0\n    ip: "127.0.0.1"'),
  )
  return folder.join('bin/linnet')
}

test('what is built runs without the source, and makes the first administrator once', async () => {
  using folder = new Folder()
  const program = await build(folder)
  const options = { program, cwd: folder.path }
  const data = folder.join('data')
  let password = ''
  {
    await using server = await ServerProcess.start(data, undefined, options)
    const printed = /^ {2}admin@localhost\n {2}password: (\S+)/m.exec(server.stdout)
    password = printed?.[1] ?? assert.fail(server.stdout)
    assert.ok(password.length >= 16)
    assert.ok(!server.stderr.includes(password), 'The password is not in the log')
    await using admin = await XmppClient.connectTls(server.port(1))
    await admin.opens()
    await admin.authenticates('admin', password)
    await admin.binds()
    server.signal('SIGTERM')
    assert.equal((await server.ended()).status, 0)
  }
  await using again = await ServerProcess.start(data, undefined, options)
  assert.doesNotMatch(again.stdout, /password/)
  const ask = ['--data', data, '--auth', 'admin', 'localhost']
  const asked = await run([...ask, password, 'registered_users', 'localhost'], options)
  assert.deepEqual([asked.status, asked.stdout.trim()], [0, 'admin'])
  const refused = await run([...ask, 'wrong', 'registered_users', 'localhost'], options)
  assert.deepEqual([refused.status, refused.stderr], [1, 'Error: invalid_account_data\n'])
})
