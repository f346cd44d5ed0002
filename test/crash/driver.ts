import { JournalWriter, operationKinds, total } from './journal.ts'
import type { OperationKind } from './journal.ts'
import { Random } from './random.ts'
import type { Target } from './workload.ts'
import { Workload } from './workload.ts'

/** What the process is told, as JSON in its only argument. */
export interface DriverSettings extends Target {
  readonly round: number
  readonly seed: number
  /** Where it writes down what it did. */
  readonly journal: string
  /** Of the server. */
  readonly pid: number
}

/** The server is killed when that many operations have been acknowledged, some of each kind, and as many are under way. */
export const enough = 50
const enoughOfEach = 3
const longestLoadMs = 700
/** Of these something is always under way. */
const fatalKinds: readonly OperationKind[] = operationKinds.filter((kind) => kind !== 'expiry')

async function main({ round, seed, journal: path, pid, ...target }: DriverSettings): Promise<void> {
  const journal = new JournalWriter(path)
  const random = new Random(seed)
  const workload = new Workload(target, round, random, journal)
  await workload.prepare()
  // What was needed to prepare is not under load, so it does not count.
  const prepared = total(journal.acknowledged)
  const isBusy = (): boolean =>
    total(journal.acknowledged) - prepared >= enough &&
    journal.open >= enough &&
    operationKinds.every((kind) => journal.acknowledged[kind] >= enoughOfEach)
  const loadMs = random.below(longestLoadMs)
  // Half of the times at any moment, half right after an acknowledgement: that is when a commit may be missing.
  const fatalKind = random.next() < 0.5 ? undefined : fatalKinds[random.below(fatalKinds.length)]
  const kill = (): void => void process.kill(pid, 'SIGKILL')
  let busySince: number | undefined
  workload.onAcknowledged = (kind) => {
    if (busySince === undefined) {
      if (!isBusy()) return
      busySince = performance.now()
      if (fatalKind === undefined) setTimeout(kill, loadMs)
    }
    if (kind !== fatalKind || performance.now() - busySince < loadMs) return
    workload.onAcknowledged = () => undefined
    kill()
  }
  await workload.run()
  journal.close()
}

if (import.meta.main) await main(JSON.parse(process.argv[2] ?? '') as DriverSettings) // from rounds.ts
