import assert from 'node:assert/strict'
import { chmodSync, copyFileSync, cpSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { Folder, Process, linnet, run } from '../support/process.ts'

/** An installation with nothing but the launcher, and a program that says what it was started with. */
function install(folder: Folder, main: 'src/main.ts' | 'dist/main.js'): string {
  mkdirSync(folder.join('bin'))
  mkdirSync(folder.join(dirname(main)))
  copyFileSync(linnet, folder.join('bin/linnet'))
  writeFileSync(
    folder.join(main),
    "console.log(JSON.stringify({ node: process.version, args: process.argv.slice(2) }))\nif (process.argv[2] === 'wait') setInterval(() => undefined, 1000)\n",
  )
  return folder.join('bin/linnet')
}

/** A `node` that says to be of that version. */
function fakeNode(folder: Folder, version: string): string {
  const directory = folder.join(`node-${version}`)
  mkdirSync(directory)
  const path = join(directory, 'node')
  writeFileSync(path, `#!/bin/sh\necho ${version}\n`)
  chmodSync(path, 0o755)
  return directory
}

/** Programs of the system, and no Node but ours. */
function pathWith(...directories: string[]): string {
  return [...directories, '/usr/bin', '/bin'].join(':')
}

const env = { LINNET_NODE: undefined }

test('says in one line that the Node that it finds is too old, and starts nothing', async () => {
  using folder = new Folder()
  const program = install(folder, 'src/main.ts')
  const old = fakeNode(folder, 'v22.11.0')
  const ended = await run(['serve'], { program, env: { ...env, PATH: pathWith(old) } })
  assert.equal(ended.status, 1)
  assert.equal(ended.stdout, '')
  assert.match(ended.stderr, /^linnet: needs Node 26 or newer, found v22\.11\.0; .*npm ci.*\n$/)
})

test('takes LINNET_NODE, then the Node that npm installed, before the one on the path', async () => {
  using folder = new Folder()
  const program = install(folder, 'src/main.ts')
  const old = fakeNode(folder, 'v20.0.0')
  const path = { PATH: pathWith(old) }
  const named = await run(['a b', ''], {
    program,
    env: { ...path, LINNET_NODE: process.execPath },
  })
  assert.deepEqual(JSON.parse(named.stdout), { node: process.version, args: ['a b', ''] })
  mkdirSync(folder.join('node_modules/.bin'), { recursive: true })
  symlinkSync(process.execPath, folder.join('node_modules/.bin/node'))
  const installed = await run([], { program, env: { ...env, ...path } })
  assert.deepEqual(JSON.parse(installed.stdout), { node: process.version, args: [] })
})

test('passes over an old LINNET_NODE for a Node that will do', async () => {
  using folder = new Folder()
  const program = install(folder, 'src/main.ts')
  const old = join(fakeNode(folder, 'v18.1.0'), 'node')
  const fit = dirname(process.execPath)
  const ended = await run([], { program, env: { LINNET_NODE: old, PATH: pathWith(fit) } })
  assert.equal(JSON.parse(ended.stdout).node, process.version)
})

test('runs what was built where there is no source, as in the package', async () => {
  using folder = new Folder()
  const program = install(folder, 'dist/main.js')
  const ended = await run(['x'], { program, env: { LINNET_NODE: process.execPath } })
  assert.deepEqual(JSON.parse(ended.stdout).args, ['x'])
})

test('becomes the server, so that signals reach it', async () => {
  using folder = new Folder()
  const program = install(folder, 'src/main.ts')
  await using child = new Process(['wait'], { program, env: { LINNET_NODE: process.execPath } })
  await child.says(/"wait"/)
  child.signal('SIGTERM')
  assert.equal((await child.ended()).status, 'SIGTERM')
})

test('the launcher needs no more than a plain shell', async () => {
  using folder = new Folder()
  cpSync(linnet, folder.join('linnet'))
  const { status, stderr } = await run(['-n', folder.join('linnet')], { program: '/bin/sh' })
  assert.deepEqual({ status, stderr }, { status: 0, stderr: '' })
})
