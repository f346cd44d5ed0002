import type { ChildProcess } from 'node:child_process'
import { execFile, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, globSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'

const script = '/usr/sbin/ejabberdctl'

/** Why tests against ejabberd cannot run here, for `skip`. */
export const noEjabberd: string | false =
  !existsSync(script) && 'ejabberd (Debian package ejabberd) is not installed'

/** The version of the ejabberd that is installed, `23.01`; undefined when there is none. */
export function ejabberdVersion(): string | undefined {
  const [folder] = globSync('/usr/lib/*/ejabberd-[0-9]*/ebin/ejabberd.app')
  return /\/ejabberd-([\d.]+)/.exec(folder ?? '')?.[1]
}

export interface CtlResult {
  readonly exit: number
  readonly stdout: string
  readonly stderr: string
}

/** An ejabberd that belongs to the test: own directories, own ports on the loopback address, no epmd. */
export interface EjabberdServer extends AsyncDisposable {
  readonly dir: string
  /** Runs `ejabberdctl` with these words. */
  ctl(...words: readonly string[]): Promise<CtlResult>
  /** Resolves when the node has gone, after `ctl('stop')`. */
  readonly ended: Promise<void>
}

/** A TCP port of 127.0.0.1 that was free a moment ago: ejabberd cannot be told to choose one itself. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  if (typeof address !== 'object' || address === null) throw new Error('There is no free port')
  return address.port
}

/** Runs a command until it ends, or until nobody holds the other end of standard input: then the whole group is killed. */
const outliveNobody = `
exec 3<&0
"$@" 3<&- </dev/null & node=$!
(cat <&3 >/dev/null; kill -KILL 0) & watcher=$!
wait $node; code=$?
kill $watcher
exit $code`

/** Starts ejabberd with this ejabberd.yml, and resolves when it serves. */
export async function startEjabberd(settings: {
  readonly config: string
}): Promise<EjabberdServer> {
  const dir = await mkdtemp(join(tmpdir(), 'linnet-ejabberd-'))
  const [conf, logs, spool] = ['conf', 'logs', 'spool'].map((name) => join(dir, name))
  if (conf === undefined || logs === undefined || spool === undefined) throw new Error('no paths')
  for (const folder of [conf, logs, spool]) await mkdir(folder)
  await writeFile(join(conf, 'ejabberd.yml'), settings.config)
  await writeFile(join(conf, 'inetrc'), '{lookup, ["file", "native"]}.\n')
  // A cookie of its own keeps other Erlang nodes of this user out, and leaves ~/.erlang.cookie alone.
  await writeFile(join(conf, 'vm.args'), `-setcookie ${randomBytes(12).toString('hex')}\n`)
  await writeFile(
    join(conf, 'ejabberdctl.cfg'),
    [
      'ERLANG_NODE=ejabberd@localhost',
      // A known port instead of epmd, whose one port would be shared by all tests.
      `ERL_DIST_PORT=${await freePort()}`,
      'INET_DIST_INTERFACE=127.0.0.1',
      'EJABBERD_BYPASS_WARNINGS=true',
      '',
    ].join('\n'),
  )
  // Debian's script insists on root or on the user "ejabberd"; any user may run it on directories of their own.
  const original = await readFile(script, 'utf8')
  const ctlPath = join(dir, 'ejabberdctl')
  const own = original.replace(/^INSTALLUSER=.*$/m, `INSTALLUSER=${userInfo().username}`)
  await writeFile(ctlPath, own, { mode: 0o700 })

  const options = ['--config-dir', conf, '--logs', logs, '--spool', spool]
  const child = spawn('sh', ['-c', outliveNobody, 'sh', ctlPath, ...options, 'foreground'], {
    cwd: dir,
    env: { PATH: process.env['PATH'] ?? '', HOME: dir, LANG: 'C.UTF-8' },
    stdio: ['pipe', 'pipe', 'pipe'],
    detached: true, // a process group of its own: the script does not become the node but waits for it
  })
  const kill = (): void => killGroup(child)
  process.on('exit', kill)
  const ended = once(child, 'exit').then(() => {
    process.off('exit', kill)
  })
  const server: EjabberdServer = {
    dir,
    ended,
    ctl: (...words) => runCtl(ctlPath, [...options, ...words], dir),
    async [Symbol.asyncDispose]() {
      kill()
      await ended
      await rm(dir, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 })
    },
  }
  try {
    await untilStarted(child, ended)
  } catch (error) {
    await server[Symbol.asyncDispose]()
    throw error
  }
  return server
}

async function untilStarted(child: ChildProcess, ended: Promise<void>): Promise<void> {
  let log = ''
  const started = new Promise<void>((resolve) => {
    const read = (chunk: Buffer): void => {
      log += chunk.toString()
      // Ports are opened after it says that it has started.
      if (/Start accepting TCP connections/.test(log)) resolve()
    }
    child.stdout?.on('data', read)
    child.stderr?.on('data', read)
  })
  const failed = ended.then(() => {
    throw new Error(`ejabberd did not start:\n${log}`)
  })
  await Promise.race([started, failed])
  failed.catch(() => undefined) // ends one day, which is no failure any more
}

function killGroup(child: ChildProcess): void {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
  try {
    process.kill(-child.pid, 'SIGKILL')
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error
  }
}

function runCtl(path: string, words: readonly string[], dir: string): Promise<CtlResult> {
  return new Promise((resolve) => {
    const options = {
      cwd: dir,
      env: { PATH: process.env['PATH'] ?? '', HOME: dir, LANG: 'C.UTF-8' },
      maxBuffer: 16 * 1024 * 1024,
    }
    execFile(path, words, options, (error, stdout, stderr) => {
      const code = typeof error?.code === 'number' ? error.code : 1
      resolve({ exit: error === null ? 0 : code, stdout, stderr })
    })
  })
}
