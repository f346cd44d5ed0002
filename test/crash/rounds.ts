import { execFile } from 'node:child_process'
import { copyFile, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { promisify } from 'node:util'
import type { CheckerSettings, Findings } from './checker.ts'
import type { DriverSettings } from './driver.ts'
import { Journal, operationKinds, total } from './journal.ts'
import type { OperationKind } from './journal.ts'
import { Random } from './random.ts'
import { ServerProcess } from './server-process.ts'
import type { ServerProcessSettings } from './server-process.ts'
import { slowDisk } from './strace.ts'
import type { Target } from './workload.ts'

export const serverConfig = `
hosts: [localhost]
loglevel: warning
listen:
  - { port: 0, ip: 127.0.0.1, module: ejabberd_c2s, access: all }
  - { port: 0, ip: 127.0.0.1, module: mod_mqtt }
shaper_rules:
  many: 1000000
modules:
  mod_mqtt: { max_queue: 1000000, max_queue_bytes: infinity, max_total_queue_bytes: infinity }
  mod_offline: { access_max_user_messages: many }
  mod_ping: {}
  mod_roster: {}
`

/** A directory is used for that many rounds: long enough to crash upon crash, short enough not to grow for ever. */
const roundsPerDirectory = 10
/** In one round out of so many the server is killed once more while it starts. */
const startKillEvery = 3
const longestStartMs = 500

export interface RoundsSettings {
  readonly rounds: number
  readonly seed: number
  /** For the server only. */
  readonly env?: Readonly<Record<string, string>>
  /** In which rounds writing is slow; see strace.ts. */
  readonly slowRounds: 'none' | 'even' | 'all'
  /** Takes one line for each round. */
  readonly print: (line: string) => void
  /** Something is wrong with the server on purpose: the run ends when that was found, and keeps no evidence. */
  readonly isControl?: boolean
}

export interface RoundResult extends Findings {
  readonly round: number
  readonly acknowledged: Readonly<Record<OperationKind, number>>
  readonly unacknowledged: Readonly<Record<OperationKind, number>>
  readonly refused: number
  /** Where journal, log and database are; undefined when they are gone. */
  readonly evidence: string | undefined
}

/** Puts load on a server, kills it, starts it again and looks for what it had acknowledged, again and again. */
export async function runRounds(settings: RoundsSettings): Promise<readonly RoundResult[]> {
  const results: RoundResult[] = []
  const random = new Random(settings.seed)
  settings.print(`seed ${settings.seed}`)
  for (let first = 1; first <= settings.rounds; first += roundsPerDirectory) {
    const dir = await mkdtemp(join(tmpdir(), 'linnet-crash-'))
    const last = Math.min(first + roundsPerDirectory - 1, settings.rounds)
    const found = await runInDirectory(dir, first, last, random, settings)
    results.push(...found)
    const isSound = found.every(({ problems }) => problems.length === 0)
    if (isSound || settings.isControl === true) await rm(dir, { recursive: true })
    if (!isSound && settings.isControl === true) break
  }
  return results
}

async function runInDirectory(
  dir: string,
  first: number,
  last: number,
  random: Random,
  { env = {}, slowRounds, print, isControl = false }: RoundsSettings,
): Promise<readonly RoundResult[]> {
  const dataDir = join(dir, 'data')
  await mkdir(dataDir)
  const isSlow = (round: number): boolean =>
    slowRounds === 'all' || (slowRounds === 'even' && round % 2 === 0)
  const launchFor = (round: number): ServerProcessSettings => {
    const wrapper = isSlow(round) ? slowDisk : []
    return { dataDir, config: serverConfig, env, wrapper }
  }
  const results: RoundResult[] = []
  let server = await ServerProcess.start(launchFor(first))
  try {
    for (let round = first; round <= last; round++) {
      const folder = join(dir, `round-${round}`)
      await mkdir(folder)
      const journal = join(folder, 'driver.log')
      const startedAt = performance.now()
      const { pid } = server
      const seed = random.below(2 ** 32)
      await runBeside('driver.ts', { ...target(dataDir, server), round, seed, journal, pid })
      const how = await server.ended
      if (how !== 'SIGKILL')
        throw new Error(`The server ended by itself (${how}):\n${server.output}`)
      const loadMs = Math.round(performance.now() - startedAt)
      const database = await copyDatabase(dataDir, folder)
      const startMs = random.below(longestStartMs)
      if (round % startKillEvery === 0) {
        const starting = await ServerProcess.launch(launchFor(round))
        await wait(startMs)
        await starting.kill()
      }
      // Serves the checker first and then the next round.
      server = await ServerProcess.start(launchFor(round + 1))
      const log = join(folder, 'checker.log')
      const checking = { ...target(dataDir, server), round, journal, log, database }
      const findings = JSON.parse(await runBeside('checker.ts', checking)) as Findings // its output
      const result = summarize(
        round,
        new Journal(journal),
        findings,
        isControl || findings.problems.length === 0 ? undefined : folder,
      )
      results.push(result)
      print(describe(result, `${loadMs} ms${isSlow(round) ? ' with a slow disk' : ''}`))
      await writeFile(join(folder, 'server.log'), server.output)
      if (result.problems.length === 0) await rm(folder, { recursive: true })
      else if (isControl) break
    }
    // What a crash left behind must not keep the server from an orderly end.
    const code = await server.stop()
    if (code !== 0) throw new Error(`The server ended with ${code}:\n${server.output}`)
  } finally {
    await server.kill()
  }
  return results
}

function target(dataDir: string, server: ServerProcess): Target {
  return { dataDir, ports: { xmpp: server.port(0), mqtt: server.port(1) } }
}

/** Beside the evidence, as the server mends the file when it starts. */
async function copyDatabase(dataDir: string, folder: string): Promise<string> {
  for (const name of await readdir(dataDir)) {
    if (name.startsWith('linnet.sqlite')) await copyFile(join(dataDir, name), join(folder, name))
  }
  return join(folder, 'linnet.sqlite')
}

/** Another process, which is told what to do by its argument; resolves with its output when it has ended well. */
async function runBeside(program: string, settings: DriverSettings | CheckerSettings) {
  const args = [join(import.meta.dirname, program), JSON.stringify(settings)]
  const options = { maxBuffer: 1 << 26, timeout: 120_000 }
  return (await promisify(execFile)(process.execPath, args, options)).stdout
}

function summarize(
  round: number,
  journal: Journal,
  findings: Findings,
  evidence: string | undefined,
): RoundResult {
  return {
    ...findings,
    round,
    acknowledged: journal.count('acknowledged'),
    unacknowledged: journal.count('open'),
    refused: total(journal.count('refused')),
    evidence,
  }
}

const plurals = {
  registration: 'registrations',
  roster: 'roster changes',
  offline: 'offline messages',
  retained: 'retained messages',
  publication: 'publications',
  will: 'wills',
  expiry: 'expiries',
} as const satisfies Record<OperationKind, string>

function describe(result: RoundResult, load: string): string {
  const { round, acknowledged, unacknowledged, refused, problems, doneUnheard, evidence } = result
  const kinds = operationKinds.map((kind) => `${acknowledged[kind]} ${plurals[kind]}`).join(', ')
  const line =
    `round ${round}: killed after ${load}; acknowledged ${total(acknowledged)} (${kinds}); ` +
    `unacknowledged ${total(unacknowledged)}, ${doneUnheard} of them done; refused ${refused}; ` +
    `problems ${problems.length}`
  const examples = problems.slice(0, 10)
  const lines = examples.map(({ problem, kind, what }) => `  ${problem} ${kind} ${what}`)
  return [line, ...lines, ...(evidence === undefined ? [] : [`  see ${evidence}`])].join('\n')
}
