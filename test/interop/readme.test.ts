import assert from 'node:assert/strict'
import type { ChildProcess } from 'node:child_process'
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, globSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { consoleBlocks, linesMatch } from '../support/compat-readme.ts'
import type { Block, TypedCommand } from '../support/compat-readme.ts'
import { freePort } from '../support/ejabberd.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))

const noMosquitto =
  !existsSync('/usr/bin/mosquitto_sub') &&
  'mosquitto_sub (Debian package mosquitto-clients) is not installed'
const python = ['python3', '/usr/bin/python3'].find(canImportSlixmpp)
const noSlixmpp =
  python === undefined && 'slixmpp (Debian package python3-slixmpp) is not installed'

function canImportSlixmpp(program: string): boolean {
  try {
    execFileSync(program, ['-c', 'import slixmpp'], { stdio: 'ignore' })
    return true
  } catch {
    return false // not installed, or without slixmpp: that is what is asked
  }
}

/** The ports that the README speaks of are those of everybody's first server; here they are others. */
const standardPorts = ['5222', '5223', '1883', '8883', '5280', '5443'] as const

/** How long a program may take for what takes it a moment, before the test gives up on it. */
const patienceMs = 60_000

/** A terminal for each command that goes on. */
interface Terminal {
  readonly child: ChildProcess
  readonly ended: Promise<unknown>
  /** Lines that were not looked at yet. */
  lines: string[]
  changed: () => void
}

class Player implements AsyncDisposable {
  readonly #dir: string
  readonly #ports: ReadonlyMap<string, string>
  readonly #terminals = new Map<string, Terminal>()

  private constructor(dir: string, ports: ReadonlyMap<string, string>) {
    this.#dir = dir
    this.#ports = ports
  }

  static async create(): Promise<Player> {
    const ports = new Map<string, string>()
    for (const port of standardPorts) ports.set(port, String(await freePort()))
    return new Player(await mkdtemp(join(tmpdir(), 'linnet-readme-')), ports)
  }

  async play(block: Block): Promise<void> {
    switch (block.kind) {
      case 'foreground':
        for (const command of block.commands) await this.#run(command)
        return
      case 'background':
        await this.#start(block.name, block.command)
        return
      case 'continued':
        await this.#await(block.name, block.output)
    }
  }

  async #run({ command, output }: TypedCommand): Promise<void> {
    const terminal = await this.#spawn(command)
    await terminal.ended
    assert.ok(
      linesMatch(output, terminal.lines),
      `${command}\nprinted\n${terminal.lines.join('\n')}\ninstead of\n${output.join('\n')}`,
    )
  }

  async #start(name: string, { command, output }: TypedCommand): Promise<void> {
    await this.#stop(name)
    this.#terminals.set(name, await this.#spawn(command))
    await this.#await(name, output)
  }

  /** Waits until the lines have come; an end of the program before is a failure. */
  async #await(name: string, output: readonly string[]): Promise<void> {
    const terminal = this.#terminals.get(name)
    assert.ok(terminal, `Nothing runs as "${name}"`)
    let isOver = false
    const over = (): void => {
      isOver = true
      terminal.changed()
    }
    const patience = setTimeout(over, patienceMs)
    terminal.child.once('close', over)
    while (!linesMatch(output, terminal.lines, true)) {
      assert.ok(
        !isOver,
        `"${name}" showed\n${terminal.lines.join('\n')}\ninstead of\n${output.join('\n')}`,
      )
      await new Promise<void>((resolve) => {
        terminal.changed = resolve
      })
    }
    clearTimeout(patience)
    terminal.child.off('close', over)
    terminal.lines = []
  }

  async #spawn(command: string): Promise<Terminal> {
    const shell = await this.#translate(command)
    const child = spawn('sh', ['-c', `exec ${shell}`], {
      cwd: root,
      env: {
        ...process.env,
        LINNET_DATA_DIR: join(this.#dir, 'data'),
        XMPP_SERVICE: `xmpp://127.0.0.1:${this.#ports.get('5222')}`,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const terminal: Terminal = {
      child,
      ended: once(child, 'close'),
      lines: [],
      changed: () => undefined,
    }
    for (const stream of [child.stdout, child.stderr]) this.#collect(stream, terminal)
    return terminal
  }

  /** Whole lines of one stream, as they come. Notices that a library gives on its own are none of the program's. */
  #collect(stream: NodeJS.ReadableStream, terminal: Terminal): void {
    let rest = ''
    stream.setEncoding('utf8')
    stream.on('data', (text: string) => {
      const lines = (rest + text).split('\n')
      rest = lines.pop() ?? ''
      const own = lines.filter((line) => !line.startsWith('Using slower stringprep'))
      terminal.lines.push(...own.map((line) => this.#untranslate(line)))
      terminal.changed()
    })
  }

  /** The command with other ports, with the test's data directory and configuration. */
  async #translate(command: string): Promise<string> {
    let own = command
    if (own === 'npm start') own = 'bin/linnet serve --config config/default.yml'
    if (own.startsWith('mosquitto_') && !own.includes(' -p ')) own += ' -p 1883'
    // At a terminal it would write line by line by itself.
    own = own.replace(/^mosquitto_/, 'stdbuf -oL $&')
    own = own.replace(/^python3\b/, python ?? 'python3')
    own = own.replace(/^NODE_EXTRA_CA_CERTS=/, 'env $&')
    own = own.replaceAll(/\bdata\/certs\b/g, join(this.#dir, 'data/certs'))
    const [, config] = /--config (\S+)/.exec(own) ?? []
    if (config !== undefined) own = own.replace(config, await this.#translateConfig(config))
    return this.#withPorts(own)
  }

  async #translateConfig(path: string): Promise<string> {
    const text = await readFile(join(root, path), 'utf8')
    const copy = join(this.#dir, 'config.yml')
    await writeFile(copy, this.#withPorts(text).replaceAll('"::"', '127.0.0.1'))
    return copy
  }

  #withPorts(text: string): string {
    return text.replaceAll(/\b(?:5222|5223|1883|8883|5280|5443)\b/g, (port) => {
      return this.#ports.get(port) ?? port
    })
  }

  #untranslate(line: string): string {
    let own = line.replaceAll(this.#dir, '')
    for (const [standard, port] of this.#ports) own = own.replaceAll(port, standard)
    return own
  }

  async #stop(name: string): Promise<void> {
    const terminal = this.#terminals.get(name)
    if (terminal === undefined) return
    this.#terminals.delete(name)
    terminal.child.kill('SIGINT')
    await terminal.ended
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const name of [...this.#terminals.keys()].reverse()) await this.#stop(name)
    await rm(this.#dir, { recursive: true, force: true })
  }
}

test(
  'the first hour of the README goes as it is told',
  { skip: noMosquitto || noSlixmpp },
  async () => {
    const blocks = consoleBlocks(await readFile(join(root, 'README.md'), 'utf8'))
    assert.ok(blocks.length > 10)
    await using player = await Player.create()
    for (const block of blocks) {
      try {
        await player.play(block)
      } catch (error) {
        throw new Error(`README.md:${block.line}`, { cause: error })
      }
    }
  },
)

test('whatever the README and the pages in docs link to exists', async () => {
  for (const page of globSync(['README.md', 'CHANGELOG.md', 'docs/**/*.md'], { cwd: root })) {
    const text = await readFile(join(root, page), 'utf8')
    for (const [, target = ''] of text.matchAll(/\]\(([^)#]+)[^)]*\)/g)) {
      if (/^https?:/.test(target)) continue
      assert.ok(existsSync(join(root, dirname(page), target)), `${page} links to ${target}`)
    }
  }
})
