import { total } from '../test/crash/journal.ts'
import { runRounds } from '../test/crash/rounds.ts'
import { noStrace } from '../test/crash/strace.ts'

/*
 * Kills the server at random moments, a thousand times or as often as it is told, and looks for what it had acknowledged:
 *   npm run crash [rounds] [seed]
 */
const [rounds = '1000', seed = `${Date.now() % 1_000_000_007}`] = process.argv.slice(2)
if (!/^[1-9]\d*$/.test(rounds) || !/^\d+$/.test(seed)) {
  process.stderr.write('Usage: npm run crash [rounds] [seed]\n')
  process.exit(2)
}

const results = await runRounds({
  rounds: Number(rounds),
  seed: Number(seed),
  slowRounds: noStrace === false ? 'even' : 'none',
  print: (line) => process.stdout.write(`${line}\n`),
})
const sum = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0)
const problems = sum(results.map((result) => result.problems.length))
process.stdout.write(
  `${results.length} rounds, seed ${seed}: ` +
    `${sum(results.map(({ acknowledged }) => total(acknowledged)))} acknowledged, ` +
    `${sum(results.map(({ unacknowledged }) => total(unacknowledged)))} not, ` +
    `${sum(results.map(({ refused }) => refused))} refused, ${problems} problems\n`,
)
if (problems > 0) process.exitCode = 1
