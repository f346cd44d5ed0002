import { globSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { CompatActor } from './compat-actor.ts'
import { formatTranscript, parseTranscript, play, rerecord } from './compat-transcript.ts'
import type { PlayedStep, Step } from './compat-transcript.ts'
import { freePort, startEjabberd } from './ejabberd.ts'

export const fixtures: string = fileURLToPath(new URL('../fixtures/ejabberdctl', import.meta.url))

export function transcriptNames(): readonly string[] {
  return globSync('*.txt', { cwd: fixtures })
    .map((name) => name.slice(0, -'.txt'.length))
    .sort()
}

export async function readTranscript(name: string): Promise<readonly Step[]> {
  return parseTranscript(await readFile(`${fixtures}/${name}.txt`, 'utf8'))
}

/** The configuration that both servers get, with a port for XMPP. */
export async function compatConfig(port: number): Promise<string> {
  const text = await readFile(`${fixtures}/ejabberd.yml`, 'utf8')
  return text.replaceAll('{port}', String(port))
}

/** Plays a transcript against the ejabberd that is installed. */
export async function playOnEjabberd(steps: readonly Step[]): Promise<readonly PlayedStep[]> {
  const port = await freePort()
  await using server = await startEjabberd({ config: await compatConfig(port) })
  await using actor = new CompatActor(port, async (words) => {
    const own = words.map((word) => word.replaceAll('{dir}', server.dir))
    const { exit, stdout, stderr } = await server.ctl(...own)
    // Asked to stop, it answers before it has stopped.
    if (words[0] === 'stop' && exit === 0) await server.ended
    return { exit, output: (stdout + stderr).replaceAll(server.dir, '{dir}') }
  })
  return await play(steps, actor)
}

/*
 * `node test/support/compat-record.ts` records the transcripts again from the ejabberd that is installed: outputs that
 * still match are left as they are, with their patterns; all others are replaced.
 */
if (import.meta.main) {
  for (const name of transcriptNames()) {
    const steps = await readTranscript(name)
    const played = await playOnEjabberd(steps)
    await writeFile(`${fixtures}/${name}.txt`, formatTranscript(rerecord(steps, played)))
    const changed = played.filter(({ isEqual }) => !isEqual)
    process.stdout.write(`${name}: ${played.length} commands, ${changed.length} changed\n`)
    for (const { expected } of changed) process.stdout.write(`  $ ${expected.text}\n`)
  }
}
