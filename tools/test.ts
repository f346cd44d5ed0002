import { spawnSync } from 'node:child_process'
import { globSync } from 'node:fs'

/*
 * Runs all tests, or those whose path holds one of the words given. What needs a program that is not installed skips itself by
 * name; with LINNET_TEST_NO_SKIP=1 (as in CI, which installs everything) a skipped test fails the run.
 */
const words = process.argv.slice(2)
const files = globSync(['{src,test,tools,docs/examples}/**/*.test.ts'], {
  exclude: (name) => name === 'node_modules',
})
  .filter((file) => words.length === 0 || words.some((word) => file.includes(word)))
  .sort()

if (files.length === 0) {
  process.stderr.write(`No test file has ${words.join(' or ')} in its path\n`)
  process.exit(1)
}

const result = spawnSync(
  process.execPath,
  [
    '--disable-warning=ExperimentalWarning',
    '--test',
    '--test-concurrency=2',
    '--test-timeout=600000',
    ...(process.env['CI'] === undefined ? [] : ['--test-reporter=spec']),
    ...files,
  ],
  {
    env: { ...process.env, LINNET_TEST_POISON: '1' },
    encoding: 'utf8',
    stdio: ['inherit', 'pipe', 'inherit'],
    maxBuffer: 1 << 30,
  },
)
process.stdout.write(result.stdout)
if (result.status !== 0) process.exit(result.status ?? 1)

const skipped = Number(/^. skipped (\d+)$/m.exec(result.stdout)?.[1] ?? 0)
if (skipped > 0 && process.env['LINNET_TEST_NO_SKIP'] === '1') {
  process.stderr.write(`${skipped} tests were skipped, and nothing may be skipped here\n`)
  process.exit(1)
}
