import { globSync } from 'node:fs'
import { Random } from '../test/crash/random.ts'
import { mqttSpecifications, root } from './docs.ts'
import { readEvidence } from './docs/evidence.ts'
import type { Mutant } from './mutate/mutants.ts'
import { findMutants } from './mutate/mutants.ts'
import { Scratch } from './mutate/scratch.ts'

/*
 * Takes lines that enforce statements of MQTT out, one at a time, at random, in a copy of the repository: a test has to fail
 * each time. First those run that show the statements, then all of MQTT.
 *   npm run mutate [number] [seed]
 */

const allTests = [
  'test/conformance/**/*.test.ts',
  'test/scenario/*mqtt*.test.ts',
  'src/mqtt/**/*.test.ts',
]

if (import.meta.main) {
  const [count = '20', seed = `${Date.now() % 1_000_000_007}`] = process.argv.slice(2)
  if (!/^[1-9]\d*$/.test(count) || !/^\d+$/.test(seed)) {
    process.stderr.write('Usage: npm run mutate [number] [seed]\n')
    process.exit(2)
  }
  process.exitCode = (await run(Number(count), Number(seed))) ? 0 : 1
}

/** Whether all of so many mutants were noticed. */
async function run(count: number, seed: number): Promise<boolean> {
  using scratch = new Scratch(root)
  const { folder } = scratch
  const all = await findMutants(folder, mqttSpecifications, readEvidence(folder))
  const chosen = choose(all, count, new Random(seed))
  print(`${chosen.length} of ${all.length} mutants, seed ${seed}`)
  const shown = [...new Set(chosen.flatMap(({ tests }) => tests))].sort()
  const broken = await scratch.failures(shown)
  if (broken.size > 0) print(`Fail anyway, and notice nothing: ${[...broken].join(', ')}`)
  const survivors: Mutant[] = []
  for (const mutant of chosen) {
    const failed = await scratch.with(mutant, () => firstFailure(scratch, mutant, broken))
    if (failed === undefined) survivors.push(mutant)
    print(`${failed === undefined ? 'SURVIVED' : 'noticed '} ${describe(mutant)}`)
    print(`         ${failed === undefined ? mutant.statements.join(', ') : `by "${failed}"`}`)
  }
  print(`${chosen.length - survivors.length} of ${chosen.length} were noticed`)
  return survivors.length === 0
}

/** Of the tests that show the statements, or else of all others. */
async function firstFailure(
  scratch: Scratch,
  { tests }: Mutant,
  known: ReadonlySet<string>,
): Promise<string | undefined> {
  const failed = await scratch.firstFailure(tests, known)
  if (failed !== undefined) return failed
  const others = globSync(allTests, { cwd: scratch.folder }).filter((file) => !tests.includes(file))
  return scratch.firstFailure(others.sort(), known)
}

function choose(all: readonly Mutant[], count: number, random: Random): readonly Mutant[] {
  const left = [...all]
  const chosen: Mutant[] = []
  while (chosen.length < count && left.length > 0) {
    chosen.push(...left.splice(random.below(left.length), 1))
  }
  return chosen
}

function describe({ file, line, mutation }: Mutant): string {
  return `${file}:${line}: ${mutation.what}`
}

function print(line: string): void {
  process.stdout.write(`${line}\n`)
}
