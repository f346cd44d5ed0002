import assert from 'node:assert/strict'
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { Folder, ServerProcess, linnet, run } from '../support/process.ts'

const packageJson = join(import.meta.dirname, '../../package.json')

test('says its version', async () => {
  const { version }: { version: string } = JSON.parse(readFileSync(packageJson, 'utf8'))
  assert.deepEqual(await run(['--version']), {
    status: 0,
    stdout: `linnet ${version}\n`,
    stderr: '',
  })
})

test('says how it is used, on request and when nothing is asked of it', async () => {
  const asked = await run(['--help'])
  assert.equal(asked.status, 0)
  for (const word of ['serve', 'check-config', '--version', 'LINNET_CONFIG_PATH']) {
    assert.ok(asked.stdout.includes(word), word)
  }
  assert.deepEqual(await run([]), { status: 2, stdout: '', stderr: asked.stdout })
})

test('refuses options that it does not know, and commands without a server', async () => {
  using folder = new Folder()
  const serve = await run(['serve', '--prot', '5'])
  assert.equal(serve.status, 2)
  assert.match(serve.stderr, /^linnet: .*'--prot'/)
  const command = await run(['--frobnicate', 'status'])
  assert.equal(command.status, 2)
  assert.match(command.stderr, /unknown or incomplete option "--frobnicate"/)
  const nobody = await run(['--data', folder.path, 'status'])
  assert.equal(nobody.status, 3)
  assert.match(nobody.stderr, /no server is running with the data directory/)
})

test('check-config names every error at once, with file, line and column', async () => {
  using folder = new Folder()
  const file = folder.join('linnet.yml')
  writeFileSync(
    file,
    [
      'hosts: [localhost]',
      'loglevl: info',
      'listen:',
      '  - port: 70000',
      '    module: mod_mqtt',
      'modules:',
      '  mod_ping:',
      '    ping_interval: soon',
      '',
    ].join('\n'),
  )
  const { status, stdout, stderr } = await run(['check-config', '--config', file])
  assert.equal(status, 1)
  assert.equal(stdout, '')
  assert.match(stderr, new RegExp(`^${file}:2:1: .*loglevl.*loglevel`, 'm'))
  assert.match(stderr, new RegExp(`^${file}:4:11: .*70000`, 'm'))
  assert.match(stderr, new RegExp(`^${file}:8:20: .*soon`, 'm'))
  assert.match(stderr, /^3 errors/m)
})

test('check-config warns of what ejabberd has and this server does not, and lets it pass', async () => {
  using folder = new Folder()
  const file = folder.join('ejabberd.yml')
  writeFileSync(file, 'hosts: [localhost]\nmodules:\n  mod_sic: {}\n')
  const { status, stdout } = await run(['check-config', '--config', file])
  assert.equal(status, 0)
  assert.match(stdout, new RegExp(`^${file}:3:3: warning: .*mod_sic`, 'm'))
  assert.match(stdout, /is good$/m)
  assert.ok(!existsSync(folder.join('data')), 'A check makes no files')
})

test('check-config says that there is no such file', async () => {
  const { status, stderr } = await run(['check-config', '--config', '/nonexistent/linnet.yml'])
  assert.equal(status, 1)
  assert.match(stderr, /\/nonexistent\/linnet\.yml/)
  assert.equal(stderr.match(/\n\s+at /), null)
})

test('takes the configuration from the option, the environment, the current folder, in this order', async () => {
  using folder = new Folder()
  const named = (name: string): string => {
    const file = folder.join(`${name}.yml`)
    writeFileSync(file, `hosts: ["${name}.example"]\n`)
    return file
  }
  const [option, own, ejabberd] = [named('option'), named('own'), named('ejabberd')]
  const check = async (args: readonly string[], env: Record<string, string>): Promise<string> => {
    const { stdout } = await run(['check-config', ...args], { cwd: folder.path, env })
    return /configuration "(.*)" is good/.exec(stdout)?.[1] ?? stdout
  }
  const both = { LINNET_CONFIG_PATH: own, EJABBERD_CONFIG_PATH: ejabberd }
  assert.equal(await check(['--config', option], both), option)
  assert.equal(await check(['-f', option], {}), option)
  assert.equal(await check([], both), own)
  assert.equal(await check([], { EJABBERD_CONFIG_PATH: ejabberd }), ejabberd)
  if (!existsSync('/etc/linnet/linnet.yml')) {
    assert.match(await check([], {}), /config\/default\.yml$/)
  }
  named('linnet')
  assert.equal(await check([], {}), 'linnet.yml')
})

// shows: command status
test('takes the data directory from the environment, for the server and for its commands', async () => {
  using folder = new Folder()
  const env = { LINNET_DATA_DIR: folder.join('elsewhere') }
  const file = folder.join('linnet.yml')
  writeFileSync(file, 'hosts: [localhost]\n')
  mkdirSync(env.LINNET_DATA_DIR)
  await using server = await ServerProcess.start(env.LINNET_DATA_DIR, file)
  const status = await run(['status'], { env, cwd: folder.path })
  assert.equal(status.status, 0)
  assert.match(status.stdout, /status: started\n.* is running in that node/)
  assert.ok(existsSync(folder.join('elsewhere', 'linnet.sqlite')))
  assert.ok(!existsSync(folder.join('data')))
  assert.equal(server.stderr.includes('"level":"error"'), false)
})

test('works through a link to the program', async () => {
  using folder = new Folder()
  symlinkSync(linnet, folder.join('first'))
  symlinkSync('first', folder.join('second'))
  const { status, stdout } = await run(['--version'], { program: folder.join('second') })
  assert.equal(status, 0)
  assert.match(stdout, /^linnet /)
})
