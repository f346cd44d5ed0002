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
  const survivors: Mutant[] = []
  const failingAnyway = new Map<string, ReadonlySet<string>>()
  for (const mutant of chosen) {
    const noticed = await noticedBy(scratch, mutant, failingAnyway)
    if (noticed === undefined) survivors.push(mutant)
    print(`${noticed === undefined ? 'SURVIVED' : 'noticed '} ${describe(mutant)}`)
    print(`         ${noticed === undefined ? mutant.statements.join(', ') : `by "${noticed}"`}`)
  }
  print(`${chosen.length - survivors.length} of ${chosen.length} were noticed`)
  return survivors.length === 0
}

/** The test that fails because of a mutant. What fails without it as well, as `failingAnyway` remembers by file, does not count. */
async function noticedBy(
  scratch: Scratch,
  mutant: Mutant,
  failingAnyway: Map<string, ReadonlySet<string>>,
): Promise<string | undefined> {
  const { tests } = mutant
  const others = globSync(allTests, { cwd: scratch.folder }).filter((file) => !tests.includes(file))
  // First those that show the statements.
  for (const files of [tests, others.sort()]) {
    for (;;) {
      const failure = await scratch.with(mutant, () =>
        scratch.firstFailure(
          files,
          ({ file, name }) => failingAnyway.get(file)?.has(name) === true,
        ),
      )
      if (failure === undefined) break
      const { file, name } = failure
      const failing = failingAnyway.get(file) ?? (await scratch.failures(file))
      failingAnyway.set(file, failing)
      if (!failing.has(name)) return name
      print(`         "${name}" fails anyway, and notices nothing`)
    }
  }
  return undefined
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
